"""Plumbing: what any training project needs.

files: written whole, locked, read as CSV. checkpoint: weights files. run_folder: what a training
leaves. config_options: Config on the command line. device: where it runs. distributed: several
processes. stop_signal: Ctrl-C. torchvision_shim: torchvision beside a CPU-only torch.
"""
