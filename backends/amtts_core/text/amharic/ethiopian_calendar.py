"""The Ethiopian calendar: twelve months of 30 days and Pagumen of 5 or 6. Converts only when asked to."""

from __future__ import annotations

from datetime import date

_EPOCH = 1723856  # Julian day number of 1 Meskerem of year 0
_ORDINAL_TO_JULIAN = 1721425
_CYCLE = 4 * 365 + 1


def is_leap(year: int) -> bool:
    """True where Pagumen has six days: year mod 4 is 3."""
    return year % 4 == 3


def days_in_month(year: int, month: int) -> int:
    """30, or 5 or 6 for Pagumen, the 13th month."""
    return 30 if month <= 12 else 5 + is_leap(year)


def from_gregorian(day: date) -> tuple[int, int, int]:
    """Year, month and day of the Ethiopian calendar."""
    cycle, rest = divmod(day.toordinal() + _ORDINAL_TO_JULIAN - _EPOCH, _CYCLE)
    year_of_cycle = min(rest // 365, 3)
    day_of_year = rest - 365 * year_of_cycle
    return 4 * cycle + year_of_cycle, day_of_year // 30 + 1, day_of_year % 30 + 1


def to_gregorian(year: int, month: int, day: int) -> date:
    """The Gregorian date of an Ethiopian one.

    Raises:
        ValueError: there is no such day.
    """
    if not 1 <= month <= 13 or not 1 <= day <= days_in_month(year, month):
        raise ValueError(f"{day}/{month}/{year} is no day of the Ethiopian calendar")
    julian = _EPOCH + 365 * year + year // 4 + 30 * (month - 1) + day - 1
    return date.fromordinal(julian - _ORDINAL_TO_JULIAN)
