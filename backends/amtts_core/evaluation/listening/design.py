"""Which sounds a listening test plays: MOS, A/B preference, or MUSHRA-like with hidden reference and anchor.

The page names sounds by random numbers; which system each one is stands in a key file that listeners do not get.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from amtts_core.errors import AmttsError
from amtts_core.evaluation.measures import Row
from amtts_core.evaluation.systems import RECORDINGS

Kind = Literal["mos", "ab", "mushra"]
KINDS: tuple[Kind, ...] = ("mos", "ab", "mushra")
ANCHOR = "anchor"
"""The recording through a 3.5 kHz low-pass, as in ITU-R BS.1534: what a bad sound is."""


@dataclass(frozen=True)
class Sound:
    """One sound of the page: its number, the row it is, and whether it is made worse to be the anchor."""

    name: str
    system: str
    row: Row
    anchor: bool = False


@dataclass(frozen=True)
class Trial:
    """What a listener judges at once.

    Attributes:
        name: of the trial.
        text: what is said.
        sounds: names of the sounds in it.
        reference: name of the open reference; empty where there is none.
    """

    name: str
    text: str
    sounds: tuple[str, ...]
    reference: str = ""


@dataclass(kw_only=True)
class Design:
    """A listening test.

    Attributes:
        kind: "mos", "ab" or "mushra".
        trials: in no order; the page shuffles them for each listener.
        sounds: name -> sound.
        per_listener: trials that one listener gets.
    """

    kind: Kind
    trials: list[Trial]
    sounds: dict[str, Sound] = field(default_factory=dict)
    per_listener: int = 0

    def key(self) -> dict[str, dict[str, str]]:
        """Sound name -> system and text id: what `score` needs and listeners must not see."""
        return {name: {"system": sound.system, "id": sound.row.id} for name, sound in self.sounds.items()}


def design(
    rows: Mapping[str, Sequence[Row]], *, kind: str, texts: int = 20, per_listener: int = 40, seed: int = 0
) -> Design:
    """A test over the texts that all systems have spoken, spread evenly over them.

    Args:
        rows: system -> rows, as `Evaluation.rows`.
        kind: of test.
        texts: so many of them at most.
        per_listener: trials that one listener gets at most.
        seed: of names and choice.

    Raises:
        AmttsError: too few systems for the kind, no common text, or MUSHRA without recordings.
    """
    if kind not in KINDS:
        raise AmttsError(f"--listening-kind '{kind}' is unknown; known: {', '.join(KINDS)}")
    if kind == "mushra" and RECORDINGS not in rows:
        raise AmttsError(
            "a MUSHRA test needs recordings of its texts", remedy="Give --manifest, or --listening-kind mos"
        )
    if kind == "ab" and len(rows) < 2:
        raise AmttsError("an A/B test needs two systems", remedy="Give two checkpoints or folders")
    chosen = _common_texts(rows, texts)
    played = [(row.system, row.id, row.audio) for of in rows.values() for row in of if row.id in chosen]
    found = _Builder(kind, random.Random(f"{seed} {kind} {played}"), per_listener)
    for name in chosen:
        found.add({system: next(row for row in of if row.id == name) for system, of in rows.items()})
    return found.design


def _common_texts(rows: Mapping[str, Sequence[Row]], most: int) -> list[str]:
    first, *others = rows.values()
    common = [row.id for row in first if all(any(r.id == row.id for r in other) for other in others)]
    if not common:
        raise AmttsError("no text was spoken by all systems", remedy="Evaluate them on the same manifest")
    count = min(most, len(common))
    return [common[number * len(common) // count] for number in range(count)]


class _Builder:
    def __init__(self, kind: Kind, chance: random.Random, per_listener: int) -> None:
        self._chance = chance
        self.design = Design(kind=kind, trials=[], per_listener=per_listener)

    def add(self, rows: dict[str, Row]) -> None:
        """The trials of one text."""
        sounds = {system: self._sound(row, system) for system, row in rows.items()}
        text = next(iter(rows.values())).text
        if self.design.kind == "mos":
            for sound in sounds.values():
                self._trial(text, [sound])
        elif self.design.kind == "ab":
            for pair in combinations(sounds.values(), 2):
                self._trial(text, list(pair))
        else:
            anchor = self._sound(rows[RECORDINGS], ANCHOR, anchor=True)
            self._trial(text, [*sounds.values(), anchor], reference=sounds[RECORDINGS].name)

    def _sound(self, row: Row, system: str, *, anchor: bool = False) -> Sound:
        sound = Sound(f"{self._chance.getrandbits(48):012x}", system, row, anchor)
        self.design.sounds[sound.name] = sound
        return sound

    def _trial(self, text: str, sounds: list[Sound], *, reference: str = "") -> None:
        name = f"{self._chance.getrandbits(48):012x}"
        self.design.trials.append(Trial(name, text, tuple(sound.name for sound in sounds), reference))
