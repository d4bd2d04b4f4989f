"""A voice with its vocoder in other engines' formats: the engines themselves speak it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from tiny_vocoder import tiny_vocoder
from tiny_voice import fidel_tokenizer, tiny_config

from amtts_chatterbox.mel.backend import ChatterboxMelBackend
from amtts_chatterbox.mel.export.voice import ExportedVoice
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.run.export import export_network
from amtts_core.synthesis.letter_table import letter_table
from amtts_core.text.normalizer import Normalizer

needs_sherpa = pytest.mark.skipif(
    importlib.util.find_spec("sherpa_onnx") is None, reason="sherpa-onnx is not installed"
)


@pytest.fixture
def backend(tmp_path: Path) -> ChatterboxMelBackend:
    config, kind = tiny_config("chatterbox-mel")
    built = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer(), speakers=["a", "b"])
    assert isinstance(built, ChatterboxMelBackend)
    built.network.eval()
    with torch.no_grad():
        built.network.log_duration.bias.fill_(1.3)
    built.choose_vocoder(str(tiny_vocoder(tmp_path / "vocoder")))
    return built


def test_griffin_lim_cannot_be_written(backend: ChatterboxMelBackend, tmp_path: Path) -> None:
    backend.choose_vocoder("griffin-lim")
    with pytest.raises(AmttsError, match="'griffin-lim' cannot be written.*--vocoder PATH"):
        backend.export(tmp_path / "out", format="onnx")


def test_an_unknown_format_names_the_known_ones(backend: ChatterboxMelBackend, tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match="known formats: onnx, sherpa-onnx, piper"):
        export_network(backend, tmp_path, format="hf")


def test_characters_are_spelt_as_the_normalized_text_is() -> None:
    tokenizer = fidel_tokenizer()
    table = letter_table(tokenizer, what="an engine")
    normalize = Normalizer()
    for text in ("ሠላም ለዓለም", "ኃይለ ሥላሴ።"):
        spelt = [token for sign in text for token in table[sign]]
        assert spelt == tokenizer.encode(normalize(text)), text


def test_a_tokenizer_that_joins_characters_is_refused() -> None:
    class Joining:
        kind = "bpe"
        unk_id = 1

        def encode(self, text: str) -> list[int]:
            return [len(text) + 5]

    tokenizer = Joining()
    assert not isinstance(tokenizer, TextTokenizer) or tokenizer.kind
    with pytest.raises(AmttsError, match="'bpe' joins characters"):
        letter_table(tokenizer, what="piper")  # type: ignore[arg-type]


@pytest.mark.slow
@needs_sherpa
def test_sherpa_onnx_speaks_it(backend: ChatterboxMelBackend, tmp_path: Path) -> None:
    """`export` itself compares onnxruntime's and sherpa-onnx's samples with torch's."""
    backend.export(tmp_path / "out", format="sherpa-onnx")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["model.onnx", "tokens.txt"]
    lines = (tmp_path / "out" / "tokens.txt").read_text().splitlines()
    assert len({line.rsplit(" ", 1)[0] for line in lines}) == len(lines)


@pytest.mark.slow
def test_a_network_that_speaks_otherwise_than_amtts_is_no_export(
    backend: ChatterboxMelBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime runs the wrong network faithfully: only amtts' own speech tells."""
    decoded = ExportedVoice._decoded
    monkeypatch.setattr(ExportedVoice, "_decoded", lambda *given: decoded(*given) + 0.1)
    with pytest.raises(CheckpointError, match="its network speaks it differently"):
        backend.export(tmp_path / "out", format="onnx")


@pytest.mark.slow
def test_piper_has_its_table(backend: ChatterboxMelBackend, tmp_path: Path) -> None:
    backend.export(tmp_path / "out", format="piper")
    voice = json.loads((tmp_path / "out" / "voice.onnx.json").read_text())
    assert voice["phoneme_id_map"]["_"] == [0]
    assert voice["speaker_id_map"] == {"a": 0, "b": 1}
    assert voice["audio"]["sample_rate"] == 22050
