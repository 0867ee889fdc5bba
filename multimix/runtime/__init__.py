"""Plumbing, which knows nothing of the method.

files: written whole, locked, read as CSV. checkpoint: weights files. run_folder: what a training
leaves. device: where it runs. distributed: several processes. stop_signal: Ctrl-C.
"""
