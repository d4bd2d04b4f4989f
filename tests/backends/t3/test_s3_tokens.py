"""Tokens that Chatterbox's own tools made: read from their caches, learnt without audio, never from unsafe files."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Done, call
from tiny_voice import make_corpus

from amtts_chatterbox.s3.caches import CARDINALITY, S3Tokens
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.codec.store import CodeStore
from amtts_core.config.run_config import resolve_config
from amtts_core.config.yaml_files import read_config_file
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_corpus(tmp_path_factory.mktemp("corpus"), train_items=6, val_items=2)
    lines = [(folder / name).read_text(encoding="utf-8") for name in ("train.jsonl", "val.jsonl")]
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def cache(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the community's preprocessing leaves it: one file a clip, further entries beside the tokens."""
    folder = tmp_path_factory.mktemp("cache")
    random = torch.Generator().manual_seed(0)
    for number, utterance in enumerate(read_manifest(corpus / "manifest.jsonl")):
        tokens = torch.randint(CARDINALITY, (int(25 * utterance.duration),), generator=random)
        if number % 2:
            tokens = torch.cat([torch.tensor([CARDINALITY]), tokens, torch.tensor([CARDINALITY + 1])])
        values = {
            "speech_tokens": tokens[None] if number % 3 == 0 else tokens,
            "speaker_emb": torch.rand(1, 256, generator=random),
            "prompt_tokens": torch.zeros(75, dtype=torch.long),
            "text_tokens": torch.zeros(5, dtype=torch.long),
        }
        torch.save(values, folder / f"{utterance.id}.pt")
    return folder


def encode(manifest: Path, cache: Path, out: Path, *options: str) -> Done:
    return call("encode-codes", manifest, "--codec", "s3", "--weights", cache, "--out", out, *options)


def learn(corpus: Path, run: Path, *options: object, codec: str = "s3") -> Done:
    small = ["--preset", "tiny", "--set", f"model.codec={codec}", "--set", "training.validate_every=2"]
    command = ["train", "--backend", "chatterbox", *small, "--data", corpus, "--out", run, "--max-steps", 2]
    return call(*command, *options)


def test_cached_tokens_are_learnt_without_opening_any_audio(
    corpus: Path, cache: Path, tmp_path: Path
) -> None:
    assert encode(corpus, cache, tmp_path / "codes").code == 0
    store = CodeStore.open(tmp_path / "codes")
    for utterance in read_manifest(corpus / "manifest.jsonl"):
        values = torch.load(cache / f"{utterance.id}.pt", weights_only=True)
        tokens = values["speech_tokens"].reshape(-1)
        expected = tokens[tokens < CARDINALITY].tolist()
        assert store.get(utterance.id)[:, 0].tolist() == expected
        assert torch.equal(torch.tensor(store.arrays(utterance.id)["speaker"]), values["speaker_emb"])
    silent = tmp_path / "silent"
    shutil.copytree(corpus, silent)
    shutil.rmtree(silent / "audio")
    assert learn(silent, tmp_path / "run", "--codes", tmp_path / "codes").code == 0
    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.info.codec == str(store.identity)
    vectors = checkpoint.weights()["voices.vectors"]
    voices = {
        utterance.id: store.arrays(utterance.id)["speaker"]
        for utterance in read_manifest(corpus / "train.jsonl")
    }
    assert any(torch.allclose(vectors[0], torch.tensor(voice[0])) for voice in voices.values())


def test_what_a_cache_lacks_is_told_and_left_out(corpus: Path, cache: Path, tmp_path: Path) -> None:
    part = tmp_path / "cache"
    shutil.copytree(cache, part)
    first, *_ = (utterance.id for utterance in read_manifest(corpus / "train.jsonl"))
    (part / f"{first}.pt").unlink()
    encoded = encode(corpus, part, tmp_path / "codes")
    assert encoded.code == 0
    assert f"cache {part} has no file {first}.pt" in " ".join(encoded.err.split())
    codes = ["--codes", tmp_path / "codes"]
    learn(corpus, tmp_path / "run", *codes).refused("1 of 6 utterances are unusable")
    assert learn(corpus, tmp_path / "run", *codes, "--set", "data.max_excluded=0.5").code == 0
    left = (tmp_path / "run" / "excluded.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in left] == [first]


def test_what_a_cache_lacked_is_tried_again(corpus: Path, cache: Path, tmp_path: Path) -> None:
    part, out = tmp_path / "cache", tmp_path / "codes"
    shutil.copytree(cache, part)
    first, second, *_ = (utterance.id for utterance in read_manifest(corpus / "train.jsonl"))
    for missing in (first, second):
        (part / f"{missing}.pt").unlink()
    assert encode(corpus, part, out, "--json").json()["encoded"] == 6
    shutil.copy(cache / f"{first}.pt", part)
    before = CodeStore.open(out)
    encode(corpus / "train.jsonl", part, out).refused("the manifest (shard) does not name it")
    assert set(CodeStore.open(out)) == set(before)  # a refused run changes nothing
    told = encode(corpus, part, out, "--json").json()
    assert (told["encoded"], told["reused"], list(told["without_codes"])) == (1, 6, [second])
    store = CodeStore.open(out)
    assert len(store) == 8
    assert [key for key in store if store.problem(key)] == [second]
    encode(corpus, cache, tmp_path / "at-once")
    whole = CodeStore.open(tmp_path / "at-once")
    for key in set(store) - {second}:
        for name, array in whole.arrays(key).items():
            assert (store.arrays(key)[name] == array).all()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("bomb").write_text, ("boom",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read safely"),
        (b"PK\x03\x04 no zip", "cannot be read safely"),
        (pickle.dumps({"speech_tokens": Bomb()}), "cannot be read safely"),
        ([1, 2, 3], "holds a list"),
        ({"text_tokens": torch.zeros(3)}, "holds none of speech_tokens"),
        ({"speech_tokens": torch.tensor([5, CARDINALITY + 7])}, "range from 5 to 6568, expected 0 to 6560"),
        ({"speech_tokens": torch.tensor([0.5])}, "expected integers"),
        ({"speech_tokens": torch.zeros(0, dtype=torch.long)}, "holds no speech token"),
        ({"speech_tokens": "ሰላም"}, "are no numbers"),
        ({"speech_tokens": torch.tensor([1]), "speaker_emb": torch.zeros(3)}, "has 3 channels, expected 256"),
    ],
)
def test_a_file_that_is_no_cache(
    content: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        (tmp_path / "ሀ.pt").write_bytes(content)
    else:
        torch.save(content, tmp_path / "ሀ.pt")
    with pytest.raises(AmttsError, match=message):
        S3Tokens.open(tmp_path).read("ሀ", Path("audio/ሀ.flac"))
    assert not (tmp_path / "bomb").exists()


def test_a_store_of_another_codec_is_refused_with_both_names(
    corpus: Path, cache: Path, tmp_path: Path
) -> None:
    assert encode(corpus, cache, tmp_path / "codes").code == 0
    for path in (tmp_path / "codes").glob("*/codec.json"):
        path.write_text(path.read_text("utf-8").replace('"s3"', '"dac"'), encoding="utf-8")
    codes = ["--codes", tmp_path / "codes"]
    learn(corpus, tmp_path / "run", *codes).refused("codes of dac:9bad10f38a37 (1 x 6561), expected s3:9bad")
    mel = ["train", "--backend", "chatterbox-mel", "--data", corpus, "--out", tmp_path / "run"]
    call(*mel, *codes, "--max-steps", 1).refused("backend 'chatterbox-mel' learns from mel")
    assert not (tmp_path / "run").exists()


def test_neither_audio_nor_tokens_are_pretended(corpus: Path, tmp_path: Path) -> None:
    learn(corpus, tmp_path / "run").refused("makes no S3 tokens from audio")
    assert not (tmp_path / "run").exists()


def test_the_settings_for_gpus_learn_such_codes(corpus: Path, cache: Path, tmp_path: Path) -> None:
    """On a network of the smallest size: what they are for has half a billion weights."""
    codes, run, start = tmp_path / "codes", tmp_path / "run", tmp_path / "start"
    assert encode(corpus, cache, codes).code == 0
    first = learn(corpus, run, "--codes", codes)
    assert "speak with" not in first.out, "nothing here makes sound of S3 codes"
    grown = call(
        *("extend-vocab", "--backend", "chatterbox", "--checkpoint", run, "--out", start),
        *("--tokenizer", corpus / "tokenizer", "--add", "ʕ"),
    )
    assert grown.code == 0, grown.err
    kinds = {}
    for path in sorted((ROOT / "examples/chatterbox").glob("gpu-*.yaml")):
        config, _ = resolve_config(read_config_file(path), overrides={"preset": "official"})
        kinds[path.stem] = config.training.type
    assert kinds == {"gpu-8gb": "lora+new-tokens", "gpu-16gb": "full", "gpu-24gb": "full"}
    smallest = ROOT / "examples/chatterbox/gpu-8gb.yaml"
    asked = ("train", "--config", smallest, "--from", start, "--data", corpus, "--codes", codes)
    alone = ("--max-steps", 1, "--max-samples", 2, "--set", "training.precision=fp32")  # one a process
    done = call(*asked, "--out", tmp_path / "tuned", *alone)
    assert done.code == 0, done.err
    assert read_checkpoint(tmp_path / "tuned").info.training_type == "lora+new-tokens"
