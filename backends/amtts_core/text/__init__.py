"""The text front end: language-neutral machinery here, one folder of tables and rules per language."""
