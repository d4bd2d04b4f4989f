"""A share of a source, for several machines that write into the same folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from amtts_core.errors import AmttsError

_JOURNALS = "journal-*-of-*.sqlite"


@dataclass(frozen=True)
class Shard:
    """Every `count`-th entry of a source.

    Attributes:
        index: from 0.
        count: of all shards.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise AmttsError(
                f"shard {self.index} of {self.count}: the shards are numbered 0 to {max(0, self.count - 1)}",
                remedy="Give --shard-index a number below --num-shards",
            )

    def holds(self, place: int) -> bool:
        """True for the places of the source, from 0, that belong to the shard."""
        return place % self.count == self.index

    @property
    def journal(self) -> str:
        """The file that remembers what the shard did."""
        return f"journal-{self.index}-of-{self.count}.sqlite"


def shard_journals(out: Path) -> list[str]:
    """Names of the journals that shards left in a folder, in order."""
    return sorted(path.name for path in out.glob(_JOURNALS))
