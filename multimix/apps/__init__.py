"""What a person starts.

cli, options: `python -m multimix`. predict_folder: many films to a folder. check_data: `doctor`.
export: ONNX. panel: films in a notebook. sweep: a grid of trainings.
"""
