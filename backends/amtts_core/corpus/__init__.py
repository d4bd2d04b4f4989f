"""From recordings as people have them to a prepared corpus on disk. Needs no torch."""
