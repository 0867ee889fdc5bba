"""Plumbing, which knows nothing of the method.

files: written whole, locked, read as CSV. checkpoint: weights files. run_folder: what a training
leaves. config_options: Config on the command line. device: where it runs. distributed: several
processes. stop_signal: Ctrl-C.
"""
