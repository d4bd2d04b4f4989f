"""Reference voices: of recordings, on the grid, at one loudness; of conds.pt, safely; computed once a content."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny_s3 import official_folder, write_voice

import amtts_chatterbox.s3.codec as codec_module
from amtts_chatterbox.s3.codec import S3Codec
from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_chatterbox.s3.tokenizer import CODES
from amtts_chatterbox.s3.voices import best_stretch, conditions_of, read_conditions, voice_of
from amtts_core.errors import AmttsError

RATE = 24000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return official_folder(tmp_path_factory.mktemp("official") / "weights")


@pytest.fixture(scope="module")
def codec(folder: Path) -> S3Codec:
    opened = S3Codec.open(folder)
    assert isinstance(opened, S3Codec)
    return opened


@pytest.mark.parametrize("seconds", [0.41, 1.0, 3.33, 12.345])
def test_a_reference_lies_on_the_grid(codec: S3Codec, seconds: float) -> None:
    wave = np.sin(np.arange(round(seconds * RATE)) * 0.05).astype(np.float32) * 0.2
    voice = voice_of(wave, codec.network, None, seconds=5.0)
    assert len(voice.reference.mel) == 2 * len(voice.reference.codes)
    assert len(voice.reference.codes) == min(int(seconds * 25), 125)
    assert len(voice.prompt) <= 150
    assert voice.reference.codes.dtype == torch.int64


def test_loudness_does_not_change_the_voice(codec: S3Codec, tmp_path: Path) -> None:
    wave, _ = soundfile.read(write_voice(tmp_path / "v.wav"), dtype="float32")
    loud, soft = (voice_of(wave * gain, codec.network, None, seconds=3.0) for gain in (1.0, 0.1))
    assert torch.allclose(loud.reference.mel, soft.reference.mel, atol=0.02)
    assert torch.allclose(loud.reference.embedding, soft.reference.embedding, atol=1e-2)


def test_the_stretch_with_the_most_voice_is_taken() -> None:
    wave = np.random.default_rng(0).normal(0, 1e-4, RATE * 20).astype(np.float32)
    wave[RATE * 12 : RATE * 17] += 0.2 * np.sin(np.arange(RATE * 5) * 0.05).astype(np.float32)
    begin = best_stretch(wave, seconds=5.0)
    assert begin % 960 == 0
    assert abs(begin - RATE * 12) <= 0.2 * RATE


@pytest.mark.parametrize(
    ("samples", "message"),
    [(np.zeros(RATE, np.float32), "holds no sound"), (np.ones(100, np.float32), "needs at least 0.4 s")],
)
def test_a_recording_without_a_voice_is_refused(codec: S3Codec, samples: np.ndarray, message: str) -> None:
    with pytest.raises(AmttsError, match=message):
        voice_of(samples, codec.network, None, seconds=5.0)


def test_conditions_come_back(codec: S3Codec, tmp_path: Path) -> None:
    voice = codec.voice(write_voice(tmp_path / "v.wav"))
    torch.save(conditions_of(voice), tmp_path / "conds.pt")
    again = read_conditions(tmp_path / "conds.pt")
    assert torch.equal(again.reference.codes, voice.reference.codes)
    assert torch.equal(again.reference.mel, voice.reference.mel)
    assert torch.equal(again.speaker, voice.speaker)
    assert again.prompt == voice.prompt
    stored = torch.load(tmp_path / "conds.pt", weights_only=True)
    assert {name: None if t is None else list(t.shape) for name, t in stored["gen"].items()} == {
        "prompt_token": [1, 100],
        "prompt_token_len": [1],
        "prompt_feat": [1, 200, 80],
        "prompt_feat_len": None,
        "embedding": [1, 192],
    }


def test_ids_that_were_cast_to_floats_are_ids_again(codec: S3Codec, tmp_path: Path) -> None:
    stored = conditions_of(codec.voice(write_voice(tmp_path / "v.wav")))
    codes = stored["gen"]["prompt_token"]
    stored["gen"]["prompt_token"] = codes.float()
    stored["gen"]["prompt_feat"] = torch.cat(
        [stored["gen"]["prompt_feat"], torch.zeros(1, 1, 80)], 1
    )  # off the grid
    torch.save(stored, tmp_path / "conds.pt")
    reference = read_conditions(tmp_path / "conds.pt").reference
    assert torch.equal(reference.codes, codes[0])
    assert len(reference.mel) == 2 * len(reference.codes)


def test_shared_conditions_of_the_original_are_read() -> None:
    path = Path(__file__).resolve().parents[4] / "shared/fixtures/s3gen/tiny/conds.pt"
    if not path.is_file():
        pytest.skip("this checkout has no shared fixtures")
    voice = read_conditions(path)
    assert len(voice.reference.codes) == 30


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("bomb").write_text, ("boom",))


def _spoiled(part: str, name: str, value: Any) -> Any:
    def spoil(stored: dict[str, Any]) -> Any:
        stored[part][name] = value
        return stored

    return spoil


SPOILED = {
    "a list": lambda stored: [stored],
    "a part less": lambda stored: {"t3": stored["t3"]},
    "no code": _spoiled("gen", "prompt_token", torch.tensor([[CODES]])),
    "half a code": _spoiled("gen", "prompt_token", torch.tensor([[1.5]])),
    "other mels": _spoiled("gen", "prompt_feat", torch.zeros(1, 10, 40)),
    "not finite": _spoiled("gen", "embedding", torch.full((1, 192), torch.nan)),
    "words": _spoiled("gen", "prompt_token", "ሰላም"),
    "nothing": _spoiled("gen", "prompt_token", torch.zeros(1, 0, dtype=torch.long)),
    "words for a vector": _spoiled("t3", "speaker_emb", "ሰላም"),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_spoiled_conditions_are_one_line(codec: S3Codec, fault: str, tmp_path: Path) -> None:
    stored = conditions_of(codec.voice(write_voice(tmp_path / "v.wav")))
    torch.save(SPOILED[fault](stored), tmp_path / "conds.pt")
    with pytest.raises(AmttsError) as caught:
        read_conditions(tmp_path / "conds.pt")
    assert "conds.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hostile_conditions_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conds.pt").write_bytes(pickle.dumps({"gen": Bomb()}))
    with pytest.raises(AmttsError, match="cannot be read safely"):
        read_conditions(tmp_path / "conds.pt")
    assert not (tmp_path / "bomb").exists()


def test_a_voice_is_computed_once_for_its_content(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    own = codec_module.read_voice

    def counted(path: Path, *rest: Any, **options: Any) -> Any:
        made.append(path)
        return own(path, *rest, **options)

    monkeypatch.setattr(codec_module, "read_voice", counted)
    codec = S3Codec.open(folder)
    assert isinstance(codec, S3Codec)
    first = write_voice(tmp_path / "a.wav")
    second = Path(shutil.copy(first, tmp_path / "b.wav"))
    assert codec.voice(first) is codec.voice(second)
    assert len(made) == 1
    codec.voice(write_voice(tmp_path / "c.wav", pitch=90))
    codec.speaking(S3SpeakingConfig(reference_seconds=2)).voice(first)
    assert len(made) == 3


def test_without_a_voice_it_says_what_to_give(tmp_path: Path) -> None:
    codec = S3Codec.open(official_folder(tmp_path / "weights", voice=False))
    assert isinstance(codec, S3Codec)
    with pytest.raises(AmttsError, match="--voice speaker.wav"):
        codec.decode(torch.zeros(1, 1, 4, dtype=torch.long))


def test_a_watermark_that_cannot_be_made_is_one_line(codec: S3Codec, tmp_path: Path) -> None:
    import importlib.util

    from amtts_chatterbox.s3.voiced import VoicedS3

    if importlib.util.find_spec("perth") is not None:
        pytest.skip("resemble-perth is installed here")
    voice = codec.voice(write_voice(tmp_path / "v.wav"))
    marked = VoicedS3(codec.speaking(S3SpeakingConfig(watermark=True)), voice)
    with pytest.raises(AmttsError, match="resemble-perth is not installed"):
        marked.decode(torch.zeros(1, 1, 3, dtype=torch.long))
    codec.speaking(S3SpeakingConfig())
