"""ONNX, sherpa-onnx and piper: what is written speaks as we do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from tiny_voice import tiny_config
from transformers import AutoTokenizer, VitsTokenizer

from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.text.normalizer import Normalizer
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_vits.backend import VitsBackend
from amtts_vits.export import onnx_model
from amtts_vits.export.characters import character_table
from amtts_vits.export.onnx_model import Exported, ids_of
from amtts_vits.export.sherpa_check import check_with_sherpa
from amtts_vits.network import separate_copy
from amtts_vits.weights import fold_norm

needs_onnx = pytest.mark.usefixtures("_onnx")


@pytest.fixture(scope="module")
def _onnx() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


def quiet_voice(*, speakers: tuple[str, ...] = (), **model: object) -> VitsBackend:
    """A tiny voice that reads letter by letter and draws no noise."""
    torch.manual_seed(5)
    config, _ = tiny_config("vits", model={"noise_scale": 0.0, "noise_scale_duration": 0.0, **model})
    tokenizer = train_tokenizer("char", ["ሰላም ለዓለም።"] * 3)
    backend = VitsBackend(config.model_config_of(VitsBackend.spec), tokenizer=tokenizer, speakers=speakers)
    predictor = backend.network.generator.duration_predictor
    with torch.no_grad():  # durations of about 1.8 frames: far from where rounding up could go either way
        if hasattr(predictor, "flows"):
            predictor.flows[0].translate.fill_(-0.6)
        else:
            predictor.proj.bias.fill_(0.6)
            predictor.proj.weight.mul_(0.1)
    return backend


def ours(backend: VitsBackend, text: str, speaker: str = "") -> np.ndarray:
    request = SynthesisRequest(
        tokens=backend.text_tokenizer.encode(text), speaker=backend.speakers.id_of(speaker)
    )
    return backend.synthesize([request])[0]


def sherpa_engine(backend: VitsBackend, folder: Path) -> Any:
    """What sherpa-onnx reads of an export."""
    sherpa = pytest.importorskip("sherpa_onnx")
    backend.export(folder, format="sherpa-onnx")
    vits = sherpa.OfflineTtsVitsModelConfig(
        model=str(folder / "model.onnx"),
        lexicon="",
        tokens=str(folder / "tokens.txt"),
        noise_scale=0.0,
        noise_scale_w=0.0,
        length_scale=1.0,
    )
    return sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=sherpa.OfflineTtsModelConfig(vits=vits)))


@needs_onnx
def test_a_table_that_sherpa_onnx_reads_otherwise_is_no_export(tmp_path: Path) -> None:
    """A token of two code points ends sherpa-onnx' process, not ours."""
    pytest.importorskip("sherpa_onnx")
    backend = quiet_voice(speakers=("a", "b"))
    table = ids_of(character_table(backend.text_tokenizer, what="test"))
    plain = separate_copy(backend.network.generator).cpu()
    fold_norm(plain)
    backend.export(tmp_path, format="sherpa-onnx")
    for wrong, told in (({"ም": table["ሰ"]}, "speaks it differently"), ({"ሰም": 1}, "cannot speak it")):
        lines = [f"{sign} {row}" for sign, row in {**table, **wrong, "_": 0}.items()]
        (tmp_path / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with pytest.raises(CheckpointError, match=f"sherpa-onnx {told}"):
            check_with_sherpa(Exported(plain), table, tmp_path)


@needs_onnx
def test_without_sherpa_onnx_the_export_says_what_was_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    backend = quiet_voice()
    table = ids_of(character_table(backend.text_tokenizer, what="test"))
    plain = separate_copy(backend.network.generator).cpu()
    fold_norm(plain)
    check_with_sherpa(Exported(plain), table, tmp_path)
    assert "sherpa-onnx is not installed" in caplog.text


@needs_onnx
@pytest.mark.parametrize("stochastic", [True, False])
def test_onnx_equals_torch_at_any_length(tmp_path: Path, stochastic: bool) -> None:
    import onnxruntime

    backend = quiet_voice(use_stochastic_duration_prediction=stochastic)
    backend.export(tmp_path, format="onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for text in ("ሰ", "ሰላም ለዓለም።", "ሰላም ለዓለም። " * 4):
        tokens = backend.text_tokenizer.encode(text)
        ids = np.array([backend.utterance(SynthesisRequest(tokens=tokens)).tokens])
        zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        values = (ids, np.array([ids.shape[1]]), zero, one, zero)
        names = ("x", "x_length", "noise_scale", "length_scale", "noise_scale_w")
        made = session.run(None, dict(zip(names, values, strict=True)))[0].reshape(-1)
        assert float(np.abs(made - ours(backend, text)).max()) < 1e-5


@needs_onnx
def test_a_voice_that_learned_with_dropout_is_compared_without_it(tmp_path: Path) -> None:
    backend = quiet_voice(hidden_dropout=0.1, duration_predictor_dropout=0.5)
    for form in ("onnx", "piper", "hf"):
        backend.export(tmp_path / form, format=form)


@needs_onnx
@pytest.mark.parametrize("part", ["flow.flows.0.conv_post", "decoder.conv_pre", "text_encoder.project"])
def test_an_onnx_file_with_one_wrong_number_is_no_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    import onnx
    from onnx import numpy_helper

    def write_wrong(module: torch.nn.Module, inputs: Any, file: Path, **how: Any) -> None:
        write_file(module, inputs, file, **how)
        written = onnx.load(str(file))
        found = next(t for t in written.graph.initializer if t.name.endswith(f"{part}.bias"))
        values = numpy_helper.to_array(found).copy()
        values.flat[0] += 0.01
        found.CopyFrom(numpy_helper.from_array(values, found.name))
        onnx.save(written, str(file))

    write_file = onnx_model.write_file
    monkeypatch.setattr(onnx_model, "write_file", write_wrong)
    with pytest.raises(CheckpointError, match="onnxruntime speaks it differently"):
        quiet_voice().export(tmp_path, format="onnx")


@needs_onnx
def test_sherpa_onnx_speaks_geez_text_as_we_do(tmp_path: Path) -> None:
    backend = quiet_voice()
    engine = sherpa_engine(backend, tmp_path)
    for typed, read in (("ሰላም ለዓለም", "ሰላም ለአለም"), ("ሠላም።", "ሰላም።"), ("ሠላም.", "ሰላም።")):
        made = np.array(engine.generate(typed, sid=0, speed=1.0).samples)
        expected = ours(backend, read)
        assert made.shape == expected.shape
        assert float(np.abs(made - expected).max()) < 1e-5


@needs_onnx
def test_sherpa_onnx_speaks_with_each_speaker(tmp_path: Path) -> None:
    backend = quiet_voice(speakers=("a", "b"))
    engine = sherpa_engine(backend, tmp_path)
    assert engine.num_speakers == 2
    for number, speaker in enumerate("ab"):
        made = np.array(engine.generate("ሰላም።", sid=number, speed=1.0).samples)
        expected = ours(backend, "ሰላም።", speaker)
        assert made.shape == expected.shape
        assert float(np.abs(made - expected).max()) < 1e-5


@needs_onnx
def test_piper_speaks_as_we_do(tmp_path: Path) -> None:
    """piper-tts is under the GPL, so nothing installs it for this test: pip install piper-tts."""
    piper = pytest.importorskip("piper")
    backend = quiet_voice()
    backend.export(tmp_path, format="piper")
    voice = piper.PiperVoice.load(tmp_path / "voice.onnx")
    quiet = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    for typed, read in (("ሰላም ለዓለም", "ሰላም ለአለም"), ("ሠላም።", "ሰላም።")):
        made = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(typed, quiet)])
        expected = ours(backend, read)
        assert made.shape == expected.shape
        assert float(np.abs(made - expected).max()) < 1e-5


@needs_onnx
def test_piper_files_say_what_piper_reads(tmp_path: Path) -> None:
    backend = quiet_voice(speakers=("a", "b"))
    backend.export(tmp_path, format="piper")
    voice = json.loads((tmp_path / "voice.onnx.json").read_text(encoding="utf-8"))
    assert voice["phoneme_id_map"]["_"] == [0]
    assert voice["phoneme_id_map"]["^"] == voice["phoneme_id_map"]["$"] == []
    assert voice["phoneme_id_map"]["ሠ"] == voice["phoneme_id_map"]["ሰ"]
    assert voice["speaker_id_map"] == {"a": 0, "b": 1}
    assert voice["num_symbols"] == backend.text_tokenizer.vocab_size


def test_the_character_table_holds_single_code_points_once() -> None:
    tokenizer = train_tokenizer("char", ["ሰላም ለዓለም።"] * 3)
    table = character_table(tokenizer, what="test")
    assert all(len(sign) == 1 for sign in table)
    assert [0] not in table.values()
    assert table["ሠ"] == table["ሰ"]
    assert table["."] == table["።"]
    assert table[" "] == table["፡"] == [tokenizer.symbols().index("▁")]


def test_rows_that_never_learned_are_in_no_table(tmp_path: Path) -> None:
    backend = quiet_voice()
    tokenizer = backend.text_tokenizer
    learned = {tokenizer.encode(sign)[0] for sign in "ሰላም ለዓለም።" if sign != "ዓ"}
    learned |= set(tokenizer.encode("አ"))
    backend.untrained_tokens = frozenset(range(1, tokenizer.vocab_size)) - learned
    table = character_table(tokenizer, what="test", untrained=backend.untrained_tokens)
    assert {row for rows in table.values() for row in rows} <= learned
    assert table["ሠ"] == table["ሰ"]
    assert table["ዓ"] == table["አ"]
    assert "ቀ" not in table
    assert "1" not in table
    backend.export(tmp_path, format="hf")
    vocabulary = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert not set(vocabulary.values()) & (backend.untrained_tokens - {tokenizer.unk_id})
    spoken = VitsTokenizer.from_pretrained(tmp_path)
    assert spoken("ሠላም ለዓለም")["input_ids"] == spoken("ሰላም ለአለም")["input_ids"]
    assert spoken("ሰላም1ቀ")["input_ids"] == spoken("ሰላም")["input_ids"]


SENTENCES = (
    "ሰላም ለዓለም",
    "ሠላም ለአለም።",
    "እንኳን ደህና መጣችሁ",
    "ጧት ተነስቶ ሄደ",
    "ቋንቋ ይማራል",
    "ኢትዮጵያ ሀገሬ",
    "ቡና ይጠጣሉ",
    "ፀሐይ ወጣች",
    "ኃይለ ሥላሴ",
    "ዛሬ ዝናብ ይዘንባል",
)


@needs_onnx
def test_sherpa_onnx_speaks_ordinary_sentences_of_a_voice_that_spells_letters(tmp_path: Path) -> None:
    """`fidel` writes a letter as consonant and vowel; the file spells it."""
    sherpa = pytest.importorskip("sherpa_onnx")
    torch.manual_seed(5)
    config, _ = tiny_config("vits", model={"noise_scale": 0.0, "noise_scale_duration": 0.0})
    backend = VitsBackend(
        config.model_config_of(VitsBackend.spec), tokenizer=train_tokenizer("fidel", []), speakers=()
    )
    with torch.no_grad():
        predictor = backend.network.generator.duration_predictor
        if hasattr(predictor, "flows"):
            predictor.flows[0].translate.fill_(-0.6)
    backend.export(tmp_path, format="sherpa-onnx")
    vits = sherpa.OfflineTtsVitsModelConfig(
        model=str(tmp_path / "model.onnx"),
        lexicon="",
        tokens=str(tmp_path / "tokens.txt"),
        noise_scale=0.0,
        noise_scale_w=0.0,
    )
    engine = sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=sherpa.OfflineTtsModelConfig(vits=vits)))
    for text in SENTENCES:
        made = np.array(engine.generate(text, sid=0, speed=1.0).samples)
        expected = ours(backend, Normalizer()(text).rstrip("።") + "።" * text.endswith("።"))
        assert made.shape == expected.shape, text
        assert float(np.abs(made - expected).max()) < 1e-4, text


def test_transformers_reads_a_voice_that_spells_letters(tmp_path: Path) -> None:
    """`VitsTokenizer` writes one id a letter; the folder brings a tokenizer that writes more."""
    config, _ = tiny_config("vits")
    backend = VitsBackend(
        config.model_config_of(VitsBackend.spec), tokenizer=train_tokenizer("fidel", []), speakers=()
    )
    backend.export(tmp_path, format="hf")
    spoken = AutoTokenizer.from_pretrained(tmp_path)
    for text in SENTENCES:
        tokens = backend.text_tokenizer.encode(Normalizer()(text).rstrip("።") + "።" * text.endswith("።"))
        assert spoken(text)["input_ids"] == backend.utterance(SynthesisRequest(tokens=tokens)).tokens, text
    assert spoken("ሰ\ue0041ላም")["input_ids"] == spoken("ሰላም")["input_ids"]
    together = spoken(["ሰላም", "ሰ"], padding=True)
    assert set(together) == {"input_ids", "attention_mask"}
    assert [sum(row) for row in together["attention_mask"]] == [13, 5]


def test_a_voice_that_joins_letters_says_where_ids_come_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the README of the folder has it."""
    config, _ = tiny_config("vits")
    tokenizer = train_tokenizer("bpe", ["ሰላም ለዓለም እንዴት ነህ።", "ደህና ሁኑ ልጆች።"] * 30, vocab_size=402)
    backend = VitsBackend(config.model_config_of(VitsBackend.spec), tokenizer=tokenizer)
    backend.export(tmp_path, format="hf")
    assert "ids come from amtts_tokenizer/tokenizer.model, see README.md" in caplog.text
    assert not (tmp_path / "tokenizer_config.json").exists()
    model = str(tmp_path / "amtts_tokenizer" / "tokenizer.model")
    pieces = sentencepiece.SentencePieceProcessor(model_file=model).encode("ሰላም ለዓለም።")
    ids = [0, *(row for piece in pieces for row in (piece, 0))]
    tokens = tokenizer.encode("ሰላም ለዓለም።")
    assert ids == backend.utterance(SynthesisRequest(tokens=tokens)).tokens


@pytest.mark.parametrize("form", ["sherpa-onnx", "piper"])
def test_joined_letters_are_refused(tmp_path: Path, form: str) -> None:
    torch.manual_seed(5)
    config, _ = tiny_config("vits")
    tokenizer = train_tokenizer("bpe", ["ሰላም ለዓለም እንዴት ነህ።", "ደህና ሁኑ ልጆች።"] * 30, vocab_size=402)
    backend = VitsBackend(config.model_config_of(VitsBackend.spec), tokenizer=tokenizer)
    with pytest.raises(AmttsError, match="joins characters to tokens"):
        backend.export(tmp_path, format=form)
