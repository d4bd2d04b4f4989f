"""The speakers of a run or checkpoint: names, ids, the default, and one line for an unknown name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amtts_core.errors import AmttsError, nearest


@dataclass(frozen=True)
class SpeakerTable:
    """Speaker names in the order of their ids.

    Attributes:
        names: empty or one name for a single voice.
        has_embedding: a single voice is a row of a table, too (a voice taken out of a checkpoint of several).
    """

    names: tuple[str, ...] = ()
    has_embedding: bool = False

    @classmethod
    def of(cls, names: Sequence[str], *, has_embedding: bool = False) -> SpeakerTable:
        """The table of these names."""
        return cls(tuple(names), has_embedding)

    @property
    def num_embeddings(self) -> int:
        """Rows of the network's speaker tables: 0 for a single voice without one, else the number of speakers."""
        return len(self.names) if len(self.names) > 1 or self.has_embedding else 0

    def id_of(self, name: str) -> int:
        """Id of a speaker; an empty name means the first.

        Raises:
            AmttsError: no such speaker; names those there are.
        """
        if not name:
            return 0
        if name not in self.names:
            known = ", ".join(self.names) or "one voice without a name"
            raise AmttsError(
                f"unknown speaker '{name}'{nearest(name, self.names, cutoff=0.7)}; this checkpoint has: {known}",
                remedy="Choose one of them with --speaker, or leave --speaker out for the first",
            )
        return self.names.index(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.names)
