"""The whole operation on tiny checkpoints with official names: files that load elsewhere, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from vocabularies import (
    FAMILIES,
    chatterbox_data,
    declare,
    indextts2_model,
    indextts2_weights,
    mms_list,
    published_of,
    write_gpt,
    write_json,
    write_t3,
    write_vits,
)

from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.compare import compare_network
from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
from amtts_core.finetune.vocab.plan import plan_tokens
from amtts_core.tokenizers.factory import load_tokenizer, train_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published.mapping import load_vocab_mapping
from amtts_core.tokenizers.published.sentencepiece_proto import parse_model

SIZE = len(chatterbox_data()["model"]["vocab"])


@pytest.fixture
def t3(tmp_path: Path) -> dict[str, Any]:
    write_json(tmp_path / "old" / "mtl.json", chatterbox_data())
    checkpoint = write_t3(tmp_path / "old", SIZE)
    return {
        "backend": "chatterbox",
        "checkpoint": checkpoint,
        "tokenizer": tmp_path / "old" / "mtl.json",
        "out": tmp_path / "new",
    }


@pytest.fixture
def gpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """IndexTTS2's text tensors as the original saves them; no network belongs to so few."""
    declare(monkeypatch, "indextts2", probe=None)
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "bpe.model").write_bytes(indextts2_model())
    size = len(load_vocab_mapping(folder / "bpe.model"))
    (folder / "config.yaml").write_text(f"gpt:\n    number_text_tokens: {size}  # text\n    layers: 2\n")
    torch.save({"model": indextts2_weights(size), "step": 7}, folder / "gpt.pth")
    return {
        "backend": "indextts2",
        "checkpoint": folder,
        "tokenizer": folder / "bpe.model",
        "out": tmp_path / "new",
    }


def rows_follow_tokens(
    old: Path, new: Path, before: dict[str, int], after: dict[str, int], names: list[str]
) -> None:
    read = lambda path: load_file(path) if path.suffix == ".safetensors" else torch.load(path)["model"]  # noqa: E731
    first, second = read(old), read(new)
    assert set(first) == set(second)
    for name in first:
        if name not in names:
            assert torch.equal(first[name], second[name])
    for name in names:
        for token, number in before.items():
            if token in after:
                assert torch.equal(first[name][number], second[name][after[token]])


def test_chatterbox_extended(t3: dict[str, Any]) -> None:
    report = extend_vocabulary(ExtendRequest(**t3, add="fidel", language="am", pad_to=500))
    out = t3["out"]
    assert report["kept"] == SIZE
    assert report["new_size"] == 500
    assert report["moved"] == report["dropped"] == 0
    assert report["old_text"]["compared_through"] == "network"
    assert report["old_text"]["max_abs_diff"] < 1e-5
    assert not report["ethiopic_letters_still_unknown"]
    new = load_vocab_mapping(out / "mtl.json")
    names = ["text_emb.weight", "text_head.weight"]
    rows_follow_tokens(
        t3["checkpoint"], out / "t3.safetensors", load_vocab_mapping(t3["tokenizer"]), new, names
    )
    row = next(row for row in report["rows"] if row["token"] == "ለ")
    assert row == {"token": "ለ", "id": new["ለ"], "init": "romanized", "parts": ["l", "ə"]}
    assert next(row for row in report["rows"] if row["token"] == "[am]")["parts"] == ["[ar]", "[he]"]
    assert json.loads((out / "vocab_report.json").read_text(encoding="utf-8")) == report
    tokenizer = load_tokenizer(out / "tokenizer")
    assert tokenizer.vocab_size == 500
    assert tokenizer.fingerprint() == report["tokenizer_fingerprint"]
    assert tokenizer.encode("ሰላም")[0] == new["[am]"]
    assert not list(out.parent.glob(".*"))


def test_chatterbox_reused_keeps_its_size(t3: dict[str, Any]) -> None:
    report = extend_vocabulary(ExtendRequest(**t3, add="ሀለሐመ", mode="reuse", language="am"))
    assert report["new_size"] == report["old_size"] == SIZE
    assert report["new"] == report["dropped"] == 5
    old, new = load_vocab_mapping(t3["tokenizer"]), load_vocab_mapping(t3["out"] / "mtl.json")
    rows_follow_tokens(
        t3["checkpoint"], t3["out"] / "t3.safetensors", old, new, ["text_emb.weight", "text_head.weight"]
    )
    for name in old:
        assert new.get(name, old[name]) == old[name]


def test_indextts2_as_the_original_saves_it(gpt: dict[str, Any], tmp_path: Path) -> None:
    train_tokenizer("fidel", []).save(tmp_path / "fidel")
    old_text = tmp_path / "old.txt"
    old_text.write_text("HELLO THERE\n\n你好 世界\n", encoding="utf-8")
    report = extend_vocabulary(ExtendRequest(**gpt, add=str(tmp_path / "fidel"), old_text=old_text))
    old, new = load_vocab_mapping(gpt["tokenizer"]), load_vocab_mapping(gpt["out"] / "bpe.model")
    names = ["text_embedding.weight", "text_head.weight", "text_head.bias"]
    rows_follow_tokens(gpt["checkpoint"] / "gpt.pth", gpt["out"] / "gpt.pth", old, new, names)
    stored = torch.load(gpt["out"] / "gpt.pth", weights_only=True)
    assert stored["step"] == 7
    first = torch.load(gpt["checkpoint"] / "gpt.pth", weights_only=True)["model"]
    for name in names:
        assert len(stored["model"][name]) == len(new) + 1
        assert torch.equal(stored["model"][name][-1], first[name][-1])  # the row that belongs to no token
    text = (gpt["out"] / "config.yaml").read_text()
    assert text == f"gpt:\n    number_text_tokens: {len(new)}  # text\n    layers: 2\n"
    assert report["old_text"]["compared_through"] == "tables"
    tokenizer = load_tokenizer(gpt["out"] / "tokenizer")
    assert not [sign for sign in ethiopic_alphabet() if tokenizer.unk_id in tokenizer.encode(sign)]


@pytest.mark.parametrize("front_end", ["fidel", "cv", "uroman"])
def test_vits_loads_with_plain_transformers(tmp_path: Path, front_end: str) -> None:
    from transformers import VitsModel, VitsTokenizer

    old = write_vits(tmp_path / "old", mms_list())
    out = tmp_path / "new"
    request = ExtendRequest(backend="vits", checkpoint=old, tokenizer=old, add=front_end, out=out)
    report = extend_vocabulary(request)
    vocabulary = load_vocab_mapping(out / "vocab.json")
    first = load_file(old / "model.safetensors")["text_encoder.embed_tokens.weight"]
    second = load_file(out / "model.safetensors")["text_encoder.embed_tokens.weight"]
    assert torch.equal(second[:28], first)
    assert torch.equal(second[vocabulary["c"]], first[0])  # c has a row of its own, row 0 stays the blank
    assert vocabulary["c"] == 28
    assert report["old_text"]["compared_through"] == "network"
    assert report["old_text"]["max_abs_diff"] < 1e-5
    model = VitsModel.from_pretrained(out).eval()
    assert model.config.vocab_size == len(vocabulary) == len(second)
    tokenizer = VitsTokenizer.from_pretrained(out)
    assert tokenizer.is_uroman == (front_end == "uroman")
    own = load_tokenizer(out / "tokenizer")
    if front_end == "fidel":
        ids = tokenizer("ሰላም ለዓለም።", return_tensors="pt")
        assert ids.input_ids[0, 1::2].tolist() == own.encode("ሰላም ለዓለም።")
        torch.manual_seed(0)
        assert model(**ids).waveform.isfinite().all()


@pytest.mark.parametrize("add", ["fidel", "cv"])
def test_indextts2_through_its_network(tmp_path: Path, add: str) -> None:
    (tmp_path / "bpe.model").write_bytes(indextts2_model())
    size = len(load_vocab_mapping(tmp_path / "bpe.model"))
    checkpoint = write_gpt(tmp_path / "old", size)
    request = ExtendRequest(
        backend="indextts2",
        checkpoint=checkpoint,
        tokenizer=tmp_path / "bpe.model",
        add=add,
        out=tmp_path / "new",
        language="am",
        pad_to=size + 400,
    )
    report = extend_vocabulary(request)
    assert report["old_text"]["compared_through"] == "network"
    assert report["old_text"]["max_abs_diff"] < 1e-5
    assert report["tensors"]["text_head.bias"]["new"] == [size + 401]
    first = torch.load(checkpoint, weights_only=True)
    torch.save({name: value for name, value in first.items() if name != "mel_head.bias"}, checkpoint)
    refused(
        ExtendRequest(**{**vars(request), "out": tmp_path / "other"}), "lack the tensor", "speech.head.bias"
    )


def refused(request: ExtendRequest, *words: str) -> None:
    before = sorted(request.out.parent.rglob("*"))
    with pytest.raises(AmttsError) as caught:
        extend_vocabulary(request)
    for word in words:
        assert word in str(caught.value)
    assert sorted(request.out.parent.rglob("*")) == before


def test_wrong_pairings_name_both_and_write_nothing(t3: dict[str, Any], tmp_path: Path) -> None:
    other = write_t3(tmp_path / "other", SIZE - 5)
    refused(
        ExtendRequest(**t3 | {"checkpoint": other}, add="fidel"),
        f"rows for {SIZE - 5} ",
        f"a tokenizer of {SIZE} ",
    )
    (tmp_path / "bpe.model").write_bytes(indextts2_model())
    refused(ExtendRequest(**t3 | {"tokenizer": tmp_path / "bpe.model"}, add="fidel"), "a SentencePiece model")
    refused(
        ExtendRequest(**t3 | {"backend": "indextts2"}, add="fidel"),
        "not of backend 'indextts2'",
        "text_embedding",
    )
    refused(ExtendRequest(**t3 | {"backend": "chaterbox"}, add="fidel"), "did you mean 'chatterbox'")
    refused(ExtendRequest(**t3, add="a e th"), "nothing to add", "already has", str(SIZE))
    refused(
        ExtendRequest(**t3, add="zz qq"),
        "2 of 2 symbols cannot be added, such as 'zz': it holds no new character",
    )
    (tmp_path / "noise.model").write_bytes(b"\x00\x01noise")
    refused(ExtendRequest(**t3 | {"tokenizer": tmp_path / "noise.model"}, add="fidel"), "is no tokenizer")
    refused(ExtendRequest(**t3, add="fidel", mode="reuse"), "358 symbols", "only 12 rows")
    refused(ExtendRequest(**t3, add="fidel", pad_to=20), "--pad-to 20")
    refused(ExtendRequest(**t3, add="fidel", pad_to=500, mode="reuse"), "--pad-to goes with")
    refused(ExtendRequest(**t3, add="fidel", mode="grow"), "extend, reuse")
    refused(ExtendRequest(**t3, add="./none.model"), "no such file")
    write_json(t3["checkpoint"].parent / "config.json", {"t3": {"text_tokens_dict_size": 2454}})
    refused(ExtendRequest(**t3, add="fidel"), "text_tokens_dict_size 2454", f"{SIZE} text tokens")


def test_extending_twice(t3: dict[str, Any], tmp_path: Path) -> None:
    extend_vocabulary(ExtendRequest(**t3, add="fidel"))
    once = t3["out"]
    refused(
        ExtendRequest(**t3 | {"out": tmp_path / "b", "checkpoint": once / "t3.safetensors"}, add="fidel"),
        "rows for",
    )
    twice = t3 | {"out": tmp_path / "c", "checkpoint": once, "tokenizer": once / "mtl.json"}
    refused(ExtendRequest(**twice, add="fidel"), "already")
    assert extend_vocabulary(ExtendRequest(**twice, add="fidel", language="am"))["new"] == 1
    refused(ExtendRequest(**t3 | {"out": once}, add="fidel"), "exists and is not empty")


def test_tensors_resized_in_part_and_unknown_text_tensors(gpt: dict[str, Any], tmp_path: Path) -> None:
    weights = torch.load(gpt["checkpoint"] / "gpt.pth")["model"]
    size = len(weights["text_head.bias"])
    for change, word in (
        ({"text_head.bias": torch.zeros(size + 3)}, "only in part"),
        ({"text_lora.weight": torch.zeros(size, 2)}, "does not know it"),
    ):
        save_file(weights | change, tmp_path / "odd.safetensors")
        refused(ExtendRequest(**gpt | {"checkpoint": tmp_path / "odd.safetensors"}, add="fidel"), word)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no zip", b"\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85R."]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_weights_execute_nothing(
    t3: dict[str, Any], tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    refused(ExtendRequest(**t3 | {"checkpoint": path}, add="fidel"), "cannot be read")


def test_a_network_that_reads_old_text_otherwise_is_refused(
    t3: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def drifting(weights: Any, config: Any, sequences: Any) -> dict[str, torch.Tensor]:
        calls.append(len(weights["text_emb.weight"]))
        return {"hidden": torch.full((2, 3), float(len(calls)))}

    declare(monkeypatch, "chatterbox", probe=drifting)
    refused(ExtendRequest(**t3, add="fidel"), "differs by 1")
    assert calls == [SIZE, SIZE + 358]


def test_the_wrapper_of_chatterbox_files_is_kept(t3: dict[str, Any], tmp_path: Path) -> None:
    """`state["model"][0]`, half precision, and a config with sizes of its own."""
    weights = {name: value.half() for name, value in load_file(t3["checkpoint"]).items()}
    folder = tmp_path / "wrapped"
    folder.mkdir()
    torch.save({"model": [weights], "epoch": 3}, folder / "t3_cfg.pt")
    write_json(folder / "config.json", {"t3": {"text_tokens_dict_size": SIZE}, "llama": {"vocab_size": 8}})
    extend_vocabulary(ExtendRequest(**t3 | {"checkpoint": folder}, add="ሀለ"))
    stored = torch.load(t3["out"] / "t3_cfg.pt", weights_only=True)
    assert stored["epoch"] == 3
    state = stored["model"][0]
    assert state["text_emb.weight"].dtype == torch.float16
    for name, value in weights.items():
        assert torch.equal(state[name][: len(value)], value)
    config = json.loads((t3["out"] / "config.json").read_text())
    assert config == {"t3": {"text_tokens_dict_size": SIZE + 2}, "llama": {"vocab_size": 8}}


def test_a_folder_with_several_checkpoints_asks_which(t3: dict[str, Any], tmp_path: Path) -> None:
    folder = t3["checkpoint"].parent
    (folder / "t3_other.safetensors").write_bytes(t3["checkpoint"].read_bytes())
    save_file({"mel": torch.zeros(2)}, folder / "s3gen.safetensors")
    refused(ExtendRequest(**t3 | {"checkpoint": folder}, add="fidel"), "2 checkpoints", "--checkpoint")
    (tmp_path / "empty").mkdir()
    refused(ExtendRequest(**t3 | {"checkpoint": tmp_path / "empty"}, add="fidel"), "no weights of backend")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_networks_notice_a_single_changed_row(tmp_path: Path, family: str) -> None:
    if family == "chatterbox":
        weights = load_file(write_t3(tmp_path, 40))
    elif family == "indextts2":
        weights = torch.load(write_gpt(tmp_path, 40), weights_only=True)
    else:
        write_vits(tmp_path / "vits", {chr(0x1200 + number): number for number in range(40)})
        weights = load_file(tmp_path / "vits" / "model.safetensors")
    config = json.loads((tmp_path / "vits" / "config.json").read_text()) if family == "vits" else {}
    run = published_of(family).probe
    assert run is not None
    plan = plan_tokens({str(n): n for n in range(40)}, {str(n): n for n in range(40)})
    sequences = [([5, 7, 3, 9], [5, 7, 3, 9])]
    assert compare_network(run, weights, weights, (config, config), plan, sequences) == 0
    for rows in published_of(family).text_tensors:
        changed = {name: value.clone() for name, value in weights.items()}
        changed[rows.tensor][7] += torch.randn_like(changed[rows.tensor][7])  # norms hide a constant
        with pytest.raises(AmttsError, match="outputs for existing text changed"):
            compare_network(run, weights, changed, (config, config), plan, sequences)


def test_every_declared_family_has_its_tensors_in_the_published_lists() -> None:
    published = {
        "chatterbox": {"text_emb.weight": 2454, "text_head.weight": 2454},
        "indextts2": {"text_embedding.weight": 12001, "text_head.weight": 12001, "text_head.bias": 12001},
        "vits": {"text_encoder.embed_tokens.weight": 28},
    }
    tokens = {"chatterbox": 2454, "indextts2": 12000, "vits": 28}
    for name in FAMILIES:
        found = published_of(name).text_tensors
        assert {rows.tensor: tokens[name] + rows.num_extra_rows for rows in found} == published[name]


def cuts(content: bytes) -> list[bytes]:
    content = content.rstrip()
    return [content[:end] for end in (0, 1, 9, len(content) // 2, len(content) - 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_truncated_files_are_refused_wherever_they_end(tmp_path: Path, family: str) -> None:
    folder = tmp_path / "old"
    if family == "chatterbox":
        tokenizer = write_json(folder / "mtl.json", chatterbox_data())
        checkpoint = write_t3(folder, SIZE)
        write_json(folder / "config.json", {"t3": {"text_tokens_dict_size": SIZE}})
    elif family == "indextts2":
        folder.mkdir()
        tokenizer = folder / "bpe.model"
        tokenizer.write_bytes(indextts2_model())
        checkpoint = write_gpt(folder, len(load_vocab_mapping(tokenizer)))
        write_json(
            folder / "config.json", {"gpt": {"number_text_tokens": len(load_vocab_mapping(tokenizer))}}
        )
    else:
        checkpoint = write_vits(folder, mms_list()) / "model.safetensors"
        tokenizer = folder / "vocab.json"
    request = ExtendRequest(
        backend=family, checkpoint=checkpoint, tokenizer=tokenizer, add="fidel", out=tmp_path / "new"
    )
    for file in (checkpoint, tokenizer, folder / "config.json"):
        whole = file.read_bytes()
        for part in cuts(whole):
            file.write_bytes(part)
            refused(request)
        file.write_bytes(whole)
    assert extend_vocabulary(request)["new"] > 300


def test_additions_that_cannot_be_read(t3: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "wanted.txt").write_bytes("ሀ\nለ".encode("utf-16"))
    refused(ExtendRequest(**t3, add=str(tmp_path / "wanted.txt")), "wanted.txt cannot be read")
    (tmp_path / "cut.model").write_bytes(indextts2_model()[:50])
    refused(ExtendRequest(**t3, add=str(tmp_path / "cut.model")), "cut.model")


def test_a_model_of_words_takes_no_letters(gpt: dict[str, Any]) -> None:
    proto = parse_model(indextts2_model())
    proto.trainer_spec.model_type = 3
    gpt["tokenizer"].write_bytes(proto.SerializeToString())
    refused(ExtendRequest(**gpt, add="fidel"), "whole words")
