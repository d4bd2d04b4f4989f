"""The original descript-audio-codec package as a codec (extra `descript`)."""
