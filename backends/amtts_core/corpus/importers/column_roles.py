"""The roles of a table's columns, as they were decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_ROLE_NAMES = {"spoken": "normalized text", "name": "id"}


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns, counted from 0.

    Attributes:
        count: of all columns.
        roles: role -> column.
        tags: name of a tag -> column.
        names: of the header; empty where the table has none.
        notes: remarks on columns -> column.
    """

    count: int
    roles: Mapping[str, int]
    tags: Mapping[str, int] = field(default_factory=dict)
    names: Sequence[str] = ()
    notes: Mapping[int, str] = field(default_factory=dict)

    def describe(self) -> str:
        """The columns' roles in one line: "1 audio, 2 speaker (2 names), 3 text, 4 ignored: duration"."""
        by_column = {column: _ROLE_NAMES.get(role, role) for role, column in self.roles.items()}
        by_column |= dict.fromkeys(self.tags.values(), "tag")
        parts = []
        for column in range(self.count):
            name = self.names[column].strip() if column < len(self.names) else ""
            note = self.notes.get(column, "")
            if column in by_column:
                parts.append(f"{column + 1} {by_column[column]}{f' ({note})' if note else ''}")
            else:
                label = " ".join(part for part in (name, f"({note})" if note else "") if part)
                parts.append(f"{column + 1} not used{f': {label}' if label else ''}")
        return ", ".join(parts)
