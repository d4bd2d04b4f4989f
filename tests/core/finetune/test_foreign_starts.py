"""Trainings and vocabularies that begin with weights as other trainers leave them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from extended import extended, published, train_from
from safetensors.torch import load_file, save_file
from tiny_voice import make_corpus
from vocabularies import chatterbox_data, published_of, write_json, write_t3

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.errors import AmttsError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
from amtts_core.finetune.weight_paths import located
from amtts_core.nn.lora import merge_stored
from amtts_core.run.export import export_adapter
from amtts_core.storage.peft_adapter import base_of

SIZE = len(chatterbox_data()["model"]["vocab"])


def request(checkpoint: Path, tokenizer: Path, out: Path, backend: str = "chatterbox") -> ExtendRequest:
    return ExtendRequest(backend=backend, checkpoint=checkpoint, tokenizer=tokenizer, add="fidel", out=out)


@pytest.mark.parametrize("backend", ["chatterbox", "indextts2", "vits"])
def test_a_wrapped_file_becomes_the_published_one(tmp_path: Path, backend: str) -> None:
    checkpoint, tokenizer = published(tmp_path / "old", backend)
    file = checkpoint if checkpoint.is_file() else checkpoint / "model.safetensors"
    plain = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    file.unlink()
    wrapped = file.with_suffix(".ckpt")
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in plain.items()}}, wrapped)

    extend_vocabulary(request(wrapped.parent, tokenizer, tmp_path / "new", backend))

    written = load_file(tmp_path / "new" / f"{file.stem}.safetensors")
    text = {tensor.tensor for tensor in published_of(backend).text_tensors}
    assert set(written) == set(plain)
    assert all(torch.equal(written[name], plain[name]) for name in set(plain) - text)


def test_rows_that_pad_the_table_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = write_json(tmp_path / "mtl.json", chatterbox_data())
    checkpoint = write_t3(tmp_path / "old", SIZE + 7)

    with caplog.at_level(logging.WARNING):
        report = extend_vocabulary(request(checkpoint, tokenizer, tmp_path / "new"))

    assert "the last 7 rows belong to no token" in caplog.text
    written = load_file(tmp_path / "new" / "t3.safetensors")["text_emb.weight"]
    assert torch.equal(written[:SIZE], load_file(checkpoint)["text_emb.weight"][:SIZE])
    assert len(written) == SIZE + len(report["new_tokens"])


def test_a_table_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = write_json(tmp_path / "mtl.json", chatterbox_data())
    checkpoint = write_t3(tmp_path / "old", SIZE + 33)

    with pytest.raises(
        AmttsError, match=f"rows for {SIZE + 33} text tokens and a tokenizer of {SIZE} do not"
    ):
        extend_vocabulary(request(checkpoint, tokenizer, tmp_path / "new"))


def test_the_remedy_names_the_tokenizer_beside_the_weights(tmp_path: Path) -> None:
    checkpoint, tokenizer = published(tmp_path / "old", "vits")

    with pytest.raises(AmttsError, match="without their vocabulary") as caught:
        open_init_weights(checkpoint, backend="vits")

    assert "amtts extend-vocab --backend vits" in caught.value.remedy
    assert f"--tokenizer {tokenizer / 'vocab.json'}" in caught.value.remedy


def test_nothing_is_advised_for_weights_of_another_model(tmp_path: Path) -> None:
    save_file({"enc_p.emb.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")

    with pytest.raises(AmttsError, match="the original names") as caught:
        open_init_weights(tmp_path / "model.safetensors", backend="chatterbox")

    assert "extend-vocab" not in caught.value.remedy


def test_folders_of_a_run_and_of_the_hugging_face_cache(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for step in (1, 2):
        (run / "checkpoints" / f"step-{step:08}").mkdir(parents=True)
        (run / "checkpoints" / f"step-{step:08}" / "checkpoint.json").write_text("{}")
    (run / "best").write_text("step-00000001\n")
    model = tmp_path / "models--facebook--mms"
    (model / "snapshots" / "abc").mkdir(parents=True)

    assert located(run / "checkpoints", option="--from") == run
    assert located(run / "best", option="--from") == run / "checkpoints" / "step-00000001"
    inside = run / "checkpoints" / "step-00000002" / "checkpoint.json"
    assert located(inside, option="--from") == inside.parent
    assert located(model, option="--from") == model / "snapshots" / "abc"
    with pytest.raises(AmttsError, match="looks like the id of a model") as caught:
        located(Path("facebook/mms-tts-amh"), option="--from")
    assert "hf download facebook/mms-tts-amh" in caught.value.remedy


def test_the_remedy_finds_a_tokenizer_of_any_name(tmp_path: Path) -> None:
    checkpoint, tokenizer = published(tmp_path / "old", "chatterbox")

    with pytest.raises(AmttsError, match="without their vocabulary") as caught:
        open_init_weights(checkpoint, backend="chatterbox")

    assert f"--tokenizer {tokenizer}" in caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["chatterbox", "indextts2"])
def test_adapters_go_out_and_come_back(tmp_path: Path, backend: str) -> None:
    pytest.importorskip("peft")
    corpus = make_corpus(tmp_path / "corpus")
    start = extended(tmp_path / "start", backend)
    lora = {"type": "lora+new-tokens", "lora": {"rank": 2, "alpha": 6}, "max_steps": 2}
    train_from(corpus, tmp_path / "run", start, backend, training=lora)
    checkpoint = read_checkpoint(tmp_path / "run")
    adapter = tmp_path / "adapter"
    adapter.mkdir()

    export_adapter(checkpoint, checkpoint.load_backend(), adapter)

    assert json.loads((adapter / "adapter_config.json").read_text())["r"] == 2
    assert base_of(adapter) == start
    again = open_init_weights(adapter, backend=backend)
    assert again.tokenizer is not None
    merged = merge_stored(checkpoint.stored_weights(), checkpoint.info.lora)
    still = {"max_steps": 1, "optim": {"learning_rate": 1e-12}}
    train_from(corpus, tmp_path / "next", again, backend, training=still)
    continued = read_checkpoint(tmp_path / "next").stored_weights()
    others = [name for name in merged if name.startswith(("transformer.", "text."))]
    assert len(others) > 10
    for name in others:
        torch.testing.assert_close(continued[name], merged[name], atol=1e-5, rtol=1e-4)
