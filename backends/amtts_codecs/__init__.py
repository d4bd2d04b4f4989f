"""Speech codecs: Descript's DAC, and codes of log-mels that train on a CPU in minutes."""
