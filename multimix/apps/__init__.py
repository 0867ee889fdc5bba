"""What a person starts.

cli, options: `python -m multimix`. predict_folder, prediction_table: many films to a folder.
check_data, duplicates: `doctor`. export: ONNX. panel, panel_parts: films in a notebook.
"""
