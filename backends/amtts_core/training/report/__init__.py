"""`report.html` of a run: one page for a person, from what the run folder holds."""
