"""Text tokenizers: kinds, training, loading, and the files of published ones."""
