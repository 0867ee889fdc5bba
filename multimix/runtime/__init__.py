"""What any training project needs.

files: written whole or not at all. checkpoint: weights. run_folder: what a training writes.
config_options: Config on the command line. device, distributed: where it runs. stop_signal: Ctrl-C.
"""
