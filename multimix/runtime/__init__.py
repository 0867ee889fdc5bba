"""What any training project needs.

files: written whole or not at all. checkpoint: weights. run_folder: what a training writes.
device: where it runs. stop_signal: Ctrl-C.
"""
