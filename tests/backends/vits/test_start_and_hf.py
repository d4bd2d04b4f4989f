"""From a published folder and back to one; the official tensors, names and files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_voice import ExampleList, tiny_backend, tiny_config
from transformers import VitsConfig, VitsModel, VitsTokenizer
from vits_bundle import stock_config
from vits_discriminators import donor_file

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_vits.backend import EMBEDDING, VitsBackend
from amtts_vits.batches import with_blanks
from amtts_vits.network import model_config
from amtts_vits.weights import read_weights, to_published

SYMBOLS = "c_lfpemjrhozs'tnuqbwakxiydg "


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A tiny random checkpoint in the published format, with the symbols of MMS Amharic."""
    torch.manual_seed(3)
    config = model_config(settings(), vocab_size=len(SYMBOLS), num_speakers=1)
    folder = tmp_path / "published"
    VitsModel(stock_config(config, layerdrop=0.1)).save_pretrained(folder)
    vocabulary = {symbol: row for row, symbol in enumerate(SYMBOLS)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return folder


def settings(**changes: object) -> object:
    config, _ = tiny_config("vits", model=changes)
    return config.model_config_of(VitsBackend.spec)


def started(folder: Path | str, tokenizer: TextTokenizer | None = None, **changes: object) -> VitsBackend:
    return begun(settings(start=str(folder), **changes), tokenizer=tokenizer)


def begun(
    values: object, *, tokenizer: TextTokenizer | None = None, speakers: Sequence[str] = ()
) -> VitsBackend:
    """A backend with the weights that its settings name."""
    tokenizer = tokenizer or tiny_backend("vits").text_tokenizer
    backend = VitsBackend(values, tokenizer=tokenizer, speakers=speakers)
    backend.initialize(ExampleList([]))
    return backend


def test_a_published_folder_starts_a_voice(published: Path) -> None:
    backend = started(published)
    stored = load_file(published / "model.safetensors")
    mine = to_published(backend.network.generator.state_dict())
    for name, tensor in stored.items():
        if name in mine and name != "text_encoder.embed_tokens.weight":
            assert torch.equal(mine[name], tensor), name
    old = stored["text_encoder.embed_tokens.weight"]
    new = backend.network.state_dict()[EMBEDDING]
    assert backend.text_tokenizer is not None
    symbols = backend.text_tokenizer.symbols()
    assert torch.equal(new[0], old[0]), "the blank stays the blank"
    for letter in "tkc ":
        assert torch.equal(new[symbols.index(letter)], old[SYMBOLS.index(letter)])
    like_t = torch.cosine_similarity(new[symbols.index("ት")], old[SYMBOLS.index("t")], dim=0)
    assert float(like_t) > 0.9, "a consonant starts as its sound"


def test_it_starts_with_the_same_speech_and_comes_back(published: Path, tmp_path: Path) -> None:
    """ids -> waveform of the published network = ours after loading = the exported folder's."""
    tokenizer = train_tokenizer("char", ["ሰላም ለዓለም።"] * 3)
    backend = started(published, tokenizer)
    backend.export(tmp_path / "out", format="hf")
    again = VitsModel.from_pretrained(tmp_path / "out").eval()
    again.noise_scale = again.noise_scale_duration = 0.0
    stock = VitsTokenizer.from_pretrained(tmp_path / "out")
    text = "ሰላም ለዓለም"
    tokens = tokenizer.encode(text)
    inputs = stock(text, return_tensors="pt")
    assert inputs["input_ids"][0, 1::2].tolist() == tokens
    with torch.no_grad():
        theirs = again(**inputs).waveform[0].numpy()
    quiet = VitsBackend(settings(noise_scale=0.0, noise_scale_duration=0.0), tokenizer=tokenizer)
    load_strict(quiet.network, backend.network.state_dict(), backend="vits")
    quiet.network.eval()
    mine = quiet.synthesize([SynthesisRequest(tokens=tokens)])[0]
    assert mine.shape == theirs.shape
    assert float(np.abs(mine - theirs).max()) < 1e-5


def test_only_the_vocoder_can_be_taken(published: Path) -> None:
    blank = tiny_backend("vits")
    fresh = blank.network.state_dict()
    torch.manual_seed(7)
    backend = started(published, blank.text_tokenizer, start_parts="vocoder")
    stored = load_file(published / "model.safetensors")
    mine = to_published(backend.network.generator.state_dict())
    assert torch.equal(mine["flow.flows.0.conv_post.weight"], stored["flow.flows.0.conv_post.weight"])
    assert torch.equal(backend.network.state_dict()[EMBEDDING], fresh[EMBEDDING])


def test_other_sizes_are_refused_with_the_settings_that_fit(published: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        started(published, hidden_size=32, ffn_dim=64)
    assert "--set model.hidden_size=16 --set model.ffn_dim=32" in str(caught.value.remedy)


@pytest.mark.parametrize("harm", ["no folder", "no vits", "no weights", "other rate"])
def test_a_start_that_cannot_be_used_is_told(published: Path, harm: str) -> None:
    config = VitsConfig.from_pretrained(published).to_dict()
    if harm == "no weights":
        (published / "model.safetensors").unlink()
    elif harm == "no vits":
        (published / "config.json").write_text('{"model_type": "bert"}')
    elif harm == "other rate":
        (published / "config.json").write_text(json.dumps({**config, "sampling_rate": 22050}))
    start = "nowhere/to/be/found" if harm == "no folder" else str(published)
    with pytest.raises(CheckpointError):
        started(start)


def test_a_published_discriminator_is_loaded_and_a_generators_file_refused(
    published: Path, tmp_path: Path
) -> None:
    file, donor = donor_file(tmp_path)
    mine = started(published, start_discriminator=str(file)).network.discriminator
    assert mine is not None
    for name, tensor in donor.items():
        assert torch.equal(mine.state_dict()[name], tensor), name
    torch.save({"model": {"enc_p.emb.weight": torch.zeros(2, 2)}}, file)
    with pytest.raises(CheckpointError, match=r"enc_p\.emb\.weight.*generator"):
        started(published, start_discriminator=str(file))


def test_speakers_can_be_added_to_a_single_voice(published: Path) -> None:
    tokenizer = tiny_backend("vits").text_tokenizer
    backend = begun(settings(start=str(published)), tokenizer=tokenizer, speakers=["a", "b"])
    one, two = (backend.synthesize([SynthesisRequest(tokens=[5, 6, 7], speaker=n)])[0] for n in (0, 1))
    assert len(one) != len(two) or not np.allclose(one, two)
    with pytest.raises(AmttsError, match="unknown speaker 'c'; this checkpoint has: a, b"):
        backend.speakers.id_of("c")


@pytest.mark.parametrize("speakers", [1, 2, 4])
@pytest.mark.parametrize("stochastic", [True, False])
def test_a_published_voice_of_three_speakers_starts_any_number(
    published: Path, tmp_path: Path, speakers: int, stochastic: bool
) -> None:
    """Zero-noise speech is that of the published speaker whose row is taken, also where one is left."""
    torch.manual_seed(4)
    kind = {"use_stochastic_duration_prediction": stochastic}
    config = model_config(settings(**kind), vocab_size=len(SYMBOLS), num_speakers=3)
    theirs = VitsModel(stock_config(config)).eval()
    theirs.save_pretrained(tmp_path / "three")
    shutil.copyfile(published / "vocab.json", tmp_path / "three" / "vocab.json")
    names = [f"s{number}" for number in range(speakers)]
    tokenizer = tiny_backend("vits").text_tokenizer
    values = settings(start=str(tmp_path / "three"), noise_scale=0.0, noise_scale_duration=0.0, **kind)
    backend = begun(values, tokenizer=tokenizer, speakers=names if speakers > 1 else [])
    assert tokenizer is not None
    text = "tkctk"
    tokens = [tokenizer.symbols().index(letter) for letter in text]
    ids = torch.tensor([with_blanks([SYMBOLS.index(letter) for letter in text])])
    theirs.noise_scale = theirs.noise_scale_duration = 0.0
    for number in range(min(speakers, 2)):
        with torch.no_grad():
            expected = theirs(input_ids=ids, speaker_id=number).waveform[0].numpy()
        request = SynthesisRequest(tokens=tokens, speaker=number if speakers > 1 else 0)
        made = backend.synthesize([request])[0]
        if speakers > 1 or stochastic:  # the other predictor adds the speaker before a convolution that pads
            assert made.shape == expected.shape
            assert float(np.abs(made - expected).max()) < 1e-5


def test_another_size_of_speaker_rows_is_told_with_the_setting(published: Path, tmp_path: Path) -> None:
    config = model_config(settings(speaker_embedding_size=6), vocab_size=len(SYMBOLS), num_speakers=2)
    VitsModel(stock_config(config)).save_pretrained(tmp_path / "two")
    shutil.copyfile(published / "vocab.json", tmp_path / "two" / "vocab.json")
    values, tokenizer = settings(start=str(tmp_path / "two")), tiny_backend("vits").text_tokenizer
    with pytest.raises(CheckpointError) as caught:
        begun(values, tokenizer=tokenizer, speakers=["a", "b"])
    assert "model.speaker_embedding_size=6" in str(caught.value.remedy)


def test_every_size_of_another_discriminator_is_told_at_once(published: Path, tmp_path: Path) -> None:
    file, _ = donor_file(tmp_path)
    other = {"periods": (2, 3, 5), "period_channels": (4, 16), "scale_channels": (4, 32)}
    with pytest.raises(CheckpointError, match=r"scale_channels.*period_channels") as caught:
        started(published, start_discriminator=str(file), discriminator=other)
    assert "scale_channels=[4, 16]" in str(caught.value.remedy)
    assert "period_channels=[4, 8]" in str(caught.value.remedy)
    with pytest.raises(CheckpointError, match="2 periods"):
        started(
            published,
            start_discriminator=str(file),
            discriminator={**other, "period_channels": (4, 8), "scale_channels": (4, 16)},
        )


@pytest.mark.parametrize(
    "content", [b"RIFF....WAVEfmt ", b"\x80\x02.", b"", b"not weights\n", b"PK\x03\x04zip"]
)
@pytest.mark.parametrize("name", ["D_1.pth", "D.safetensors"])
def test_a_file_that_holds_no_weights_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read|hold no tensor"):
        read_weights(tmp_path / name)
