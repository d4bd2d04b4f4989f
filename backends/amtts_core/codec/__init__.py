"""Speech codecs: the protocol, how they are found, and codes on disk. Implementations live in `amtts_codecs`."""
