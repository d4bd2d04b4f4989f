"""`amtts adopt`: published Chatterbox weights in a checkpoint that speaks; files that do not fit together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import Done, call
from safetensors.torch import load_file
from tiny_s3 import chatterbox_folder
from vocabularies import hf_data, write_json

from amtts_chatterbox.s3.voices import read_conditions
from amtts_core.checkpoints.checkpoint import read_checkpoint

TOKENIZER = "grapheme_mtl_merged_expanded_v1.json"
T3 = "t3_mtl23ls_v3.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chatterbox_folder(tmp_path_factory.mktemp("official") / "chatterbox")


def adopt(folder: Path, out: Path, *options: object, tokenizer: Path | None = None) -> Done:
    codec = ("--set", "model.codec=s3", "--set", f"model.codec_weights={folder}")
    return call(
        "adopt", folder, "--tokenizer", tokenizer or folder / TOKENIZER, *codec, "--out", out, *options
    )


def test_weights_and_voice_are_those_of_the_files(folder: Path, tmp_path: Path) -> None:
    done = adopt(folder, tmp_path / "en", "--language", "en")
    assert done.code == 0, done.err
    checkpoint = read_checkpoint(tmp_path / "en")
    weights, published = checkpoint.weights(), load_file(folder / T3)
    assert torch.equal(weights["text.embedding.weight"], published["text_emb.weight"])
    assert torch.equal(weights["speech.head.weight"], published["speech_head.weight"])
    voice = read_conditions(folder / "conds.pt")
    assert torch.equal(weights["voices.vectors"][0], voice.speaker)
    assert weights["voices.prompts"][0, : len(voice.prompt)].tolist() == voice.prompt
    assert checkpoint.info.backend_config["multilingual"]
    assert checkpoint.info.base_weights_license.startswith("MIT")


def test_text_is_read_as_it_is_written(folder: Path, tmp_path: Path) -> None:
    assert adopt(folder, tmp_path / "en", "--language", "en").code == 0
    checkpoint = read_checkpoint(tmp_path / "en")
    assert checkpoint.normalizer()("Dr. Smith paid 27 - twice") == "Dr. Smith paid 27 - twice"
    tokenizer = checkpoint.tokenizer()
    assert tokenizer is not None
    assert (
        tokenizer.encode("The end")[0]
        == json.loads((folder / TOKENIZER).read_text())["model"]["vocab"]["[en]"]
    )


def test_files_that_do_not_fit_together_are_one_line(folder: Path, tmp_path: Path) -> None:
    other = write_json(tmp_path / "other.json", hf_data(list("abc")))
    adopt(folder, tmp_path / "a", tokenizer=other).refused("text")
    adopt(folder, tmp_path / "b", "--language", "am").refused("[am]")
    adopt(folder, tmp_path / "c", tokenizer=folder / "conds.pt").refused("conds.pt")
    adopt(folder, tmp_path / "d", tokenizer=tmp_path / "none.json").refused("none.json")
    call("adopt", tmp_path, "--tokenizer", other, "--out", tmp_path / "e").refused("no weights")
    call("adopt", folder, "--tokenizer", other, "--backend", "vits", "--out", tmp_path / "f").refused("VITS")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    adopt(folder, tmp_path / "full").refused("is not an empty folder")
    assert not any((tmp_path / name).exists() for name in "abcdef")
