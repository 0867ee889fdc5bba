"""What a person starts.

cli, commands, options: `python -m multimix`. predict_folder, prediction_table: many films to a
folder. check_data: `doctor`. export: ONNX. panel: films in a notebook. sweep: a grid of trainings.
"""
