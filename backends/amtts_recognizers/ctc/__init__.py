"""ctc: log-mels to text symbols by connectionist temporal classification; small enough to train on a CPU."""
