"""Vocoders at work: trained by the trainer, chosen by voices and codecs, kept in their checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_vocoder import SIZES, tiny_vocoder
from tiny_voice import CODEC, make_corpus, tiny_config, train_tiny

from amtts_codecs.mel_codes.codec import MelCodesCodec
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.codec.streaming import decode_pieces
from amtts_core.contract.codec_registry import open_codec
from amtts_core.contract.vocoder_registry import open_vocoder, vocoder_names
from amtts_core.errors import AmttsError
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.synthesis.engine import Synthesizer

TEXT = "ለመሰረ በተነአ።"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "data", train_items=6, val_items=2)


def train_vocoder(corpus: Path, run: Path, *, steps: int = 3, resume: bool = False, **sections: Any) -> Any:
    settings = {
        "model": {**SIZES, "segment": 16},
        "training": {
            "max_steps": steps,
            "validate_every": 2,
            "save_every": 2,
            "threads": 1,
            "tensorboard": False,
        },
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | values
    config, kind = tiny_config("vocoder", **settings)
    return train(config, kind, RunOptions(data=corpus, run=run, resume=resume, jobs=1))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(run, prefer="latest").stored_weights()


# ---- training ----


@pytest.mark.slow
@pytest.mark.parametrize("adversarial", [False, True])
def test_a_resumed_training_is_the_same_to_the_bit(corpus: Path, tmp_path: Path, adversarial: bool) -> None:
    model = {**SIZES, "segment": 16, "adversarial": adversarial}
    train_vocoder(corpus, tmp_path / "whole", steps=4, model=model)
    train_vocoder(corpus, tmp_path / "half", steps=4, model=model)
    shutil.rmtree(tmp_path / "half" / "checkpoints" / "step-00000004")
    for name in ("latest", "best"):
        (tmp_path / "half" / name).write_text("checkpoints/step-00000002\n")
    train_vocoder(corpus, tmp_path / "half", steps=4, model=model, resume=True)
    expected, found = weights_of(tmp_path / "whole"), weights_of(tmp_path / "half")
    assert any(name.startswith("discriminators.") for name in expected) == adversarial
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def test_a_trained_run_is_a_vocoder(corpus: Path, tmp_path: Path) -> None:
    train_vocoder(corpus, tmp_path / "run")
    config, _ = tiny_config("chatterbox-mel")
    voice = open_vocoder(str(tmp_path / "run"), mel=mel_format(), maker="this voice")
    assert voice.name == "vocoder"
    assert voice.vocode(torch.zeros(80, 9) - 6).shape == (9 * 256,)
    assert config.backend == "chatterbox-mel"


def mel_format() -> Any:
    from amtts_core.audio.mel import MelConfig

    return MelConfig().format


@pytest.mark.slow
def test_it_learns_from_the_mels_that_a_voice_predicts(corpus: Path, tmp_path: Path) -> None:
    train_tiny(corpus, tmp_path / "voice", training={"max_steps": 3, "sample_every": 0})
    train_vocoder(corpus, tmp_path / "run", data={"mels_from": str(tmp_path / "voice")})
    own = sorted((corpus / "features").glob("vocoder-*/mel.bin"))
    assert own, "the predicted mels are stored beside the other features"
    with pytest.raises(AmttsError, match="predicts no mels"):
        train_vocoder(corpus, tmp_path / "again", data={"mels_from": str(CODEC)})


def test_mels_are_predicted_for_vocoders_only(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match="'chatterbox-mel' is no vocoder"):
        train_tiny(corpus, tmp_path / "run", data={"mels_from": str(CODEC)}, training={"max_steps": 1})


# ---- voices ----


@pytest.fixture(scope="module")
def voice(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of chatterbox-mel that was trained with a vocoder, which has moved since."""
    folder = tmp_path_factory.mktemp("voice")
    vocoder = tiny_vocoder(folder / "vocoder")
    train_tiny(
        corpus,
        folder / "run",
        model={"vocoder": str(vocoder)},
        training={"max_steps": 2, "sample_every": 0},
    )
    shutil.rmtree(vocoder)
    return folder / "run"


def test_a_checkpoint_holds_its_vocoder(voice: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(voice)
    assert (checkpoint.folder / "vocoder" / "model.safetensors").is_file()
    moved = tmp_path / "elsewhere"
    shutil.copytree(checkpoint.folder, moved)
    first = Synthesizer.from_checkpoint(voice).speak(TEXT).waveform
    np.testing.assert_array_equal(Synthesizer.from_checkpoint(moved).speak(TEXT).waveform, first)


def test_another_vocoder_can_be_chosen_when_it_speaks(voice: Path, tmp_path: Path) -> None:
    own = Synthesizer.from_checkpoint(voice).speak(TEXT).waveform
    for choice in ("griffin-lim", str(tiny_vocoder(tmp_path / "other", hidden=24))):
        made = Synthesizer.from_checkpoint(voice, vocoder=choice).speak(TEXT).waveform
        assert made.shape == own.shape
        assert not np.array_equal(made, own)
    with pytest.raises(AmttsError, match="does not exist, and no vocoder has this name"):
        Synthesizer.from_checkpoint(voice, vocoder=str(tmp_path / "nothing"))


def test_a_setting_wins_over_the_copy(voice: Path) -> None:
    set_so = Synthesizer.from_checkpoint(voice, settings={"vocoder": "griffin-lim"}).speak(TEXT).waveform
    chosen = Synthesizer.from_checkpoint(voice, vocoder="griffin-lim").speak(TEXT).waveform
    np.testing.assert_array_equal(set_so, chosen)


def test_an_empty_setting_goes_without(voice: Path) -> None:
    made = Synthesizer.from_checkpoint(voice, settings={"vocoder": None}).speak(TEXT).waveform
    chosen = Synthesizer.from_checkpoint(voice, vocoder="griffin-lim").speak(TEXT).waveform
    np.testing.assert_array_equal(made, chosen)


def test_a_vocoder_that_does_not_fit_stops_training_before_it_begins(corpus: Path, tmp_path: Path) -> None:
    vocoder = tiny_vocoder(tmp_path / "vocoder", mel={"fmin": 60.0})
    with pytest.raises(AmttsError, match="fmin 60, this voice makes 0"):
        train_tiny(corpus, tmp_path / "run", model={"vocoder": str(vocoder)}, training={"max_steps": 1})
    assert not list((tmp_path / "run").glob("checkpoints/*"))


# ---- codecs ----


def test_a_codec_speaks_through_a_vocoder_in_pieces_as_whole(tmp_path: Path) -> None:
    codec = open_codec("mel-codes", CODEC)
    assert isinstance(codec, MelCodesCodec)
    mel = codec.config.mel.model_dump()
    codec.choose_vocoder(str(tiny_vocoder(tmp_path / "vocoder", mel=mel)))
    codes = torch.randint(codec.cardinality, (1, 1, 90), generator=torch.Generator().manual_seed(0))
    whole = codec.decode(codes)[0].numpy()
    pieces = list(decode_pieces(codec, (codes[0, :, i : i + 9].T for i in range(0, 90, 9))))
    assert len(pieces) > 1
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_a_codec_refuses_a_vocoder_for_another_rate(tmp_path: Path) -> None:
    codec = open_codec("mel-codes", CODEC)
    assert isinstance(codec, MelCodesCodec)
    with pytest.raises(AmttsError, match="sample rate 22050, this codec makes 16000"):
        codec.choose_vocoder(str(tiny_vocoder(tmp_path / "vocoder")))


def test_all_vocoders_are_registered() -> None:
    assert {"bigvgan", "griffin-lim", "hifigan", "vocoder", "vocos"} <= set(vocoder_names())
