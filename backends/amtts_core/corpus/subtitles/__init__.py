"""Subtitles to cuts: parse, clean, untangle, align with the voice, move edges to silences, merge to sentences."""
