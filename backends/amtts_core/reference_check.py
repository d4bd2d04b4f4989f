"""A number of ours beside a stored one of an official implementation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceCheck:
    """One tensor or number held against a stored one."""

    name: str
    max_abs_diff: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """True where the difference is within the tolerance (NaN is not)."""
        return self.max_abs_diff <= self.tolerance
