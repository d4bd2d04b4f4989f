"""The report of a corpus: one page for a person, the same as JSON for a program."""
