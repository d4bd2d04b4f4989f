"""Whether two columns of numbers are where the parts of recordings lie that several rows of a table share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from amtts_core.corpus.importers.times import Scale, read_time

_LEAST = 0.5  # of the rows that must share their recording
_OVERLAP = 0.1  # of a part's length


class Spans:
    """The rows of a table by their recording.

    Args:
        recordings: the cells that name them.
    """

    def __init__(self, recordings: Sequence[str]) -> None:
        rows: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(recordings):
            rows[name].append(number)
        self._shared = [own for name, own in rows.items() if name and len(own) > 1]
        self._enough = sum(map(len, self._shared)) >= _LEAST * max(1, len(recordings))

    def follow(self, starts: Sequence[str], ends: Sequence[str], *, lengths: bool = False) -> bool:
        """True where the parts of each shared recording follow one another without lying over each other.

        Args:
            starts: cells of the column that may hold starts.
            ends: cells of the column that may hold ends.
            lengths: `ends` may hold lengths of the parts instead.
        """
        if not self._shared or not self._enough:
            return False
        return all(self._one_follows(rows, starts, ends, lengths) for rows in self._shared)

    def _one_follows(
        self, rows: Sequence[int], starts: Sequence[str], ends: Sequence[str], lengths: bool
    ) -> bool:
        parts: list[tuple[float, float]] = []
        for row in rows:
            if row >= len(starts) or row >= len(ends):
                return False
            start, end = read_time(starts[row], Scale()), read_time(ends[row], Scale())
            if not (isinstance(start, float) and isinstance(end, float)):
                return False
            parts.append((start, start + end if lengths else end))
        parts.sort()
        if any(end <= start for start, end in parts):
            return False
        pairs = zip(parts, parts[1:], strict=False)
        return all(b[0] > a[0] and b[0] >= a[1] - _OVERLAP * (a[1] - a[0]) for a, b in pairs)
