"""Names for units, so that a signature says what a number means."""

from __future__ import annotations

Seconds = float
Hertz = int
Decibels = float
