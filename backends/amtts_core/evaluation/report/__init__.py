"""An evaluation as files: report.json with every hypothesis, report.html for people."""
