"""A user's mistake is one line; it survives a process pool."""

from __future__ import annotations

import pickle

import pytest

from amtts_core.errors import AmttsError, CheckpointError, ConfigError, ManifestError, nearest


def test_message_and_remedy_make_one_line() -> None:
    fault = AmttsError("cannot read\n  'a.wav'", remedy="Convert it:\n ffmpeg -i a.wav b.wav")
    assert str(fault) == "cannot read 'a.wav'. Convert it: ffmpeg -i a.wav b.wav"
    assert fault.exit_code == 2


def test_without_a_remedy_the_message_stands_alone() -> None:
    assert str(AmttsError("no such thing")) == "no such thing"


@pytest.mark.parametrize("kind", [AmttsError, ConfigError, CheckpointError, ManifestError])
def test_crosses_a_process_boundary(kind: type[AmttsError]) -> None:
    fault = pickle.loads(pickle.dumps(kind("what", remedy="how")))
    assert type(fault) is kind
    assert (fault.message, fault.remedy, str(fault)) == ("what", "how", "what. how")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("max_step", " (did you mean 'max_steps'?)"), ("zzz", ""), ("", "")],
)
def test_nearest(name: str, expected: str) -> None:
    assert nearest(name, ["max_steps", "seed"]) == expected


def test_nearest_of_nothing() -> None:
    assert nearest("a", []) == ""
