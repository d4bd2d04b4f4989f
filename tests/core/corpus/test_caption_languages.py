"""Captions beside a recording: those in the wanted language come first, whichever language that is."""

from __future__ import annotations

import pytest

from amtts_core.corpus.importers.pairing import language_rank


@pytest.mark.parametrize(("wanted", "other"), [("am", "ti"), ("ti", "am"), ("om", "am")])
def test_the_wanted_language_comes_first(wanted: str, other: str) -> None:
    names = [f"talk.{other}.srt", "talk.srt", f"talk.{wanted}.srt"]
    ranked = sorted(names, key=lambda name: language_rank(name, wanted))
    assert ranked == [f"talk.{wanted}.srt", "talk.srt", f"talk.{other}.srt"]
