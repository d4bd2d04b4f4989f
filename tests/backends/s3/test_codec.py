"""The codec s3 on the command line: waves to tokens, training on them, speech with a recording's voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command_line import call
from tiny_s3 import official_folder, tiny_weights, write_voice
from tiny_voice import make_corpus

from amtts_chatterbox.s3.codec import S3Codec
from amtts_core.audio.io import read_audio
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.codec.store import CodeStore
from amtts_core.contract.codec import CodecIdentity
from amtts_core.corpus.manifest import read_manifest
from amtts_core.speech_lm.codec_of import _opened

TEXT = "ሰላም ለዓለም።"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, published files and a recording of a speaker."""
    home = tmp_path_factory.mktemp("home")
    corpus = make_corpus(home / "corpus", train_items=5, val_items=2)
    lines = [(corpus / name).read_text(encoding="utf-8") for name in ("train.jsonl", "val.jsonl")]
    (corpus / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    official_folder(home / "weights")
    write_voice(home / "almaz.wav")
    return home


@pytest.fixture(scope="module")
def codes(home: Path) -> Path:
    done = call(
        "encode-codes",
        home / "corpus",
        "--codec",
        "s3",
        "--weights",
        home / "weights",
        "--out",
        home / "codes",
    )
    assert done.code == 0, done.err
    return home / "codes"


@pytest.fixture(scope="module")
def run(home: Path, codes: Path) -> Path:
    _opened.cache_clear()
    done = call(
        *(
            "train",
            "--backend",
            "chatterbox",
            "--preset",
            "tiny",
            "--data",
            home / "corpus",
            "--codes",
            codes,
        ),
        *("--set", "model.codec=s3", "--set", f"model.codec_weights={home / 'weights'}"),
        *("--set", "training.validate_every=2", "--max-steps", 2, "--out", home / "run"),
    )
    assert done.code == 0, done.err
    return home / "run"


def test_codes_prompts_and_vectors_are_stored(home: Path, codes: Path) -> None:
    store, codec = CodeStore.open(codes), S3Codec.open(home / "weights")
    assert isinstance(codec, S3Codec)
    assert store.identity == CodecIdentity.of(codec)
    for utterance in read_manifest(home / "corpus/manifest.jsonl"):
        wave = torch.from_numpy(
            read_audio(utterance.audio_path(home / "corpus/manifest.jsonl"), sample_rate=16000)
        )
        arrays = store.arrays(utterance.id)
        expected = codec.encode(wave[None])[0, 0]
        assert arrays["codes"][:, 0].tolist() == expected.tolist()
        assert arrays["prompt"][:, 0].tolist() == expected[:150].tolist()
        assert np.allclose(arrays["speaker"][0], codec.voice_encoder(None).embed(wave), atol=1e-6)


def test_a_long_clip_has_the_prompt_of_its_first_six_seconds(home: Path) -> None:
    codec = S3Codec.open(home / "weights")
    assert isinstance(codec, S3Codec)
    wave = torch.from_numpy(read_audio(write_voice(home / "long.wav", seconds=8.3), sample_rate=16000))
    codes = codec.encode(wave[None])[0]
    found = codec.describe(wave, codes)["prompt"][:, 0]
    assert len(found) == 150
    assert codes.shape[1] == codec.num_frames(len(wave)) == 208


def test_batches_and_shards_give_the_same(home: Path, codes: Path, tmp_path: Path) -> None:
    common = (
        "encode-codes",
        home / "corpus",
        "--codec",
        "s3",
        "--weights",
        home / "weights",
        "--out",
        tmp_path / "c",
    )
    for shard in (0, 1):
        more = ("--batch-seconds", 4, "--num-shards", 2, "--shard-index", shard)
        assert call(*common, *more).code == 0
    one, other = CodeStore.open(codes), CodeStore.open(tmp_path / "c")
    assert set(one) == set(other)
    for key in one:
        assert all((array == other.arrays(key)[name]).all() for name, array in one.arrays(key).items())
    again = call(*common, "--num-shards", 2, "--json").json()
    assert again["encoded"] == 0


def test_verify_decodes_with_the_clips_own_voice(home: Path, codes: Path) -> None:
    done = call(
        *("encode-codes", home / "corpus", "--codec", "s3", "--weights", home / "weights"),
        *("--out", codes, "--verify", 1, "--json"),
    ).json()
    assert done["ok"]
    assert done["verified"][0]["equal"] == 1.0


def test_a_silent_clip_has_no_codes_but_a_reason(home: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=3, val_items=1)
    first = next(iter(read_manifest(corpus / "train.jsonl")))
    path = first.audio_path(corpus / "train.jsonl")
    soundfile.write(path, np.zeros(30000, np.float32), 24000)
    done = call(
        *("encode-codes", corpus / "train.jsonl", "--codec", "s3", "--weights", home / "weights"),
        *("--out", tmp_path / "codes", "--json"),
    ).json()
    assert "sound" in done["without_codes"][first.id]


def test_it_speaks_with_the_built_in_voice_and_with_a_recording(
    home: Path, run: Path, tmp_path: Path
) -> None:
    speak = ("synthesize", "--checkpoint", run, TEXT, "--set", "model.sampling.retries=0")
    built_in = call(*speak, "--out", tmp_path / "a.wav")
    assert built_in.code == 0, built_in.err
    again = call(*speak, "--out", tmp_path / "b.wav")
    assert again.code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    almaz = call(*speak, "--out", tmp_path / "c.wav", "--voice", home / "almaz.wav")
    assert almaz.code == 0, almaz.err
    heard = {name: read_audio(tmp_path / f"{name}.wav", sample_rate=24000) for name in "ac"}
    assert all(float(np.abs(wave).max()) > 0.01 for wave in heard.values())
    assert len(heard["a"]) != len(heard["c"]) or not np.allclose(heard["a"], heard["c"])
    few = call(
        *speak, "--out", tmp_path / "d.wav", "--set", "model.s3gen.steps=2", "--set", "model.s3gen.guidance=0"
    )
    assert few.code == 0
    assert (tmp_path / "d.wav").read_bytes() != (tmp_path / "a.wav").read_bytes()


def test_it_speaks_while_it_speaks(home: Path, run: Path, tmp_path: Path) -> None:
    from amtts_core.synthesis.engine import Synthesizer

    synthesizer = Synthesizer.from_checkpoint(run, settings={"voice_clip": str(home / "almaz.wav")})
    pieces = list(synthesizer.stream(TEXT).pieces)
    joined = np.concatenate(pieces)
    assert np.isfinite(joined).all()
    assert len(joined) > 2400
    whole = synthesizer.speak(TEXT)
    assert len(whole.waveform) > 2400


def test_tokens_of_caches_are_spoken_too(home: Path, run: Path, tmp_path: Path) -> None:
    """A network that learned tokens whose maker is not recorded speaks through any published weights."""
    store = CodeStore.open(home / "codes")
    cache = tmp_path / "cache"
    cache.mkdir()
    for key in store:
        torch.save(
            {"speech_tokens": torch.from_numpy(store.get(key)[:, 0].astype(np.int64))}, cache / f"{key}.pt"
        )
    encoded = call(
        "encode-codes", home / "corpus", "--codec", "s3", "--weights", cache, "--out", tmp_path / "codes"
    )
    assert encoded.code == 0, encoded.err
    trained = call(
        *("train", "--backend", "chatterbox", "--preset", "tiny", "--data", home / "corpus"),
        *("--codes", tmp_path / "codes", "--set", "model.codec=s3"),
        *("--set", "training.validate_every=2", "--max-steps", 2, "--out", tmp_path / "run"),
    )
    assert trained.code == 0, trained.err
    speak = ("synthesize", "--checkpoint", tmp_path / "run", TEXT, "--out", tmp_path / "a.wav")
    call(*speak).refused("without the published weights of S3Gen")
    spoken = call(
        *speak, "--set", f"model.codec_weights={home / 'weights'}", "--set", "model.sampling.retries=0"
    )
    assert spoken.code == 0, spoken.err


def test_another_tokenizer_is_refused(home: Path, run: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(tiny_weights(seed=8), tmp_path / "s3gen.safetensors")
    speak = ("synthesize", "--checkpoint", run, TEXT, "--out", tmp_path / "a.wav")
    call(*speak, "--set", f"model.codec_weights={tmp_path}").refused("has learned the codes of s3:")
    assert not (tmp_path / "a.wav").exists()


def test_a_checkpoint_remembers_its_codec(run: Path, codes: Path) -> None:
    assert read_checkpoint(run).info.codec == str(CodeStore.open(codes).identity)


def test_voices_that_are_none_are_one_line(home: Path, run: Path, tmp_path: Path) -> None:
    speak = ("synthesize", "--checkpoint", run, TEXT, "--out", tmp_path / "a.wav", "--voice")
    call(*speak, "kebede").refused("neither a file nor kept with")
    (tmp_path / "no.wav").write_bytes(b"no audio")
    call(*speak, tmp_path / "no.wav").refused("no.wav")
    soundfile.write(tmp_path / "short.wav", np.ones(2000, np.float32) * 0.1, 24000)
    call(*speak, tmp_path / "short.wav").refused("needs at least")
    assert not (tmp_path / "a.wav").exists()


def test_waves_of_no_length_have_no_codes(home: Path) -> None:
    codec = S3Codec.open(home / "weights")
    assert codec.encode(torch.zeros(2, 100)).shape == (2, 1, 0)
    mixed = codec.encode(torch.randn(2, 16000), torch.tensor([50, 16000]))
    assert mixed.shape == (2, 1, 25)
    assert codec.num_frames(50) == 0
