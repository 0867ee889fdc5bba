"""The paper's table again: many trainings, and whether each part of the method helps.

jobs, sweep, run: what is trained, and how. paired_tests: part by part. report, figures: the table.
"""
