"""Corpora: manifests, importers, preparation, splits, ledgers, datasets and samplers."""
