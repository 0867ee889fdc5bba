"""Plumbing: files, checkpoints, run folders, devices, processes."""
