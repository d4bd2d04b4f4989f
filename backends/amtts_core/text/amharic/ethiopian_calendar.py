"""The Ethiopian calendar: twelve months of 30 days and Pagumen of 5 or 6."""

from __future__ import annotations


def is_leap(year: int) -> bool:
    """True where Pagumen has six days: year mod 4 is 3."""
    return year % 4 == 3


def days_in_month(year: int, month: int) -> int:
    """30, or 5 or 6 for Pagumen, the 13th month."""
    return 30 if month <= 12 else 5 + is_leap(year)
