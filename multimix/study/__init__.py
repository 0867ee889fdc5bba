"""The paper's table again: many trainings, and whether each part of the method helps.

jobs, sweep, run: what is trained, and how. results: what came of it. paired_tests: part by part.
report, figures: the table.
"""
