"""Speech codecs: the protocol that implementations follow."""
