"""Names of the special tokens of Chatterbox' tokenizer files."""

SPACE, UNK, START, STOP = "[SPACE]", "[UNK]", "[START]", "[STOP]"
