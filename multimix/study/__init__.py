"""The paper's table: many trainings, paired tests, a report."""
