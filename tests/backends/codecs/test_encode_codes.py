"""Codes on disk: equal to encoding alone, resumable after a kill, sharded, and never of two codecs at once."""

from __future__ import annotations

import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_codecs import write_pth
from tiny_voice import make_corpus

from amtts_cli.app import main
from amtts_codecs.dac.codec import DacCodec
from amtts_core.codec.store import CodeStore
from amtts_core.codec.writer import EncodedUtterance, ShardWriter
from amtts_core.contract.codec import CodecIdentity
from amtts_core.contract.codec_registry import open_codec
from amtts_core.corpus.executors import choose_executor
from amtts_core.corpus.manifest import read_manifest
from amtts_core.data.features import load_utterance
from amtts_core.errors import AmttsError
from amtts_core.run.encode_codes import EncodeProgress, encode_manifest
from amtts_core.run.verify_codes import verify_codes


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), train_items=7, val_items=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codec") / "dac.pth"
    write_pth(path)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> DacCodec:
    return DacCodec.open(weights)


def test_stored_codes_are_those_of_every_file_alone(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    manifest = corpus / "train.jsonl"
    report = encode_manifest(manifest, codec, tmp_path, batch_seconds=3)
    store = CodeStore.open(tmp_path)
    utterances = list(read_manifest(manifest))
    assert (report.encoded, report.reused, len(store)) == (7, 0, 7)
    assert report.speech == pytest.approx(sum(u.duration for u in utterances))
    for utterance in utterances:
        wave = load_utterance(utterance, manifest, codec.sample_rate)
        alone = codec.encode(torch.from_numpy(wave)[None])[0].T.numpy()
        np.testing.assert_array_equal(store.get(utterance.id), alone)
        assert store.get(utterance.id).dtype == np.uint16
    again = encode_manifest(manifest, codec, tmp_path)
    assert (again.encoded, again.reused) == (0, 7)


def test_a_cpu_takes_one_utterance_at_a_time(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    manifest, done, together = corpus / "train.jsonl", [], []
    encode_manifest(manifest, codec, tmp_path / "a", on_progress=lambda now: done.append(now.done))
    assert done == list(range(8))
    encode_manifest(
        manifest, codec, tmp_path / "b", batch_seconds=60, on_progress=lambda now: together.append(now.done)
    )
    assert together == [0, 7]


def test_an_executor_that_opens_the_codec_itself_makes_the_same_codes(
    corpus: Path, codec: DacCodec, weights: Path, tmp_path: Path
) -> None:
    manifest = corpus / "train.jsonl"
    encode_manifest(manifest, codec, tmp_path / "here", batch_seconds=3)
    reopen = pickle.loads(pickle.dumps(partial(open_codec, "dac", weights)))
    executor = choose_executor("local")
    report = encode_manifest(
        manifest,
        codec,
        tmp_path / "there",
        batch_seconds=3,
        executor=executor,
        jobs=1,
        reopen=reopen,
    )
    assert (report.encoded, report.reused) == (7, 0)
    here, there = CodeStore.open(tmp_path / "here"), CodeStore.open(tmp_path / "there")
    for utterance in read_manifest(manifest):
        np.testing.assert_array_equal(here.get(utterance.id), there.get(utterance.id))


@pytest.mark.slow
def test_ray_makes_the_same_codes(corpus: Path, weights: Path, tmp_path: Path, amtts) -> None:
    pytest.importorskip("ray", reason="the extra amtts[ray] is not installed")
    for executor in ("local", "ray"):
        arguments = ("--weights", weights, "--batch-seconds", 3, "--executor", executor)
        done = amtts(
            "encode-codes", corpus / "train.jsonl", *arguments, "--out", tmp_path / executor, timeout=400
        )
        assert done.returncode == 0, done.stderr
    here, there = CodeStore.open(tmp_path / "local"), CodeStore.open(tmp_path / "ray")
    for utterance in read_manifest(corpus / "train.jsonl"):
        np.testing.assert_array_equal(here.get(utterance.id), there.get(utterance.id))


def test_a_killed_run_goes_on_where_it_stopped(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    manifest = corpus / "train.jsonl"
    encode_manifest(manifest, codec, tmp_path / "whole")
    encode_manifest(manifest, codec, tmp_path / "cut", batch_seconds=1)
    shard = tmp_path / "cut" / "shard-00000-of-00001"
    (shard / "store.json").unlink()
    rows = (shard / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (shard / "rows.jsonl").write_bytes(b"".join(rows[:3]) + rows[3][:11])
    with (shard / "codes.bin").open("ab") as handle:
        handle.write(b"\1\2\3")
    with pytest.raises(AmttsError, match="not finished"):
        CodeStore.open(tmp_path / "cut")
    report = encode_manifest(manifest, codec, tmp_path / "cut")
    assert (report.encoded, report.reused) == (4, 3)
    whole, cut = CodeStore.open(tmp_path / "whole"), CodeStore.open(tmp_path / "cut")
    assert set(whole) == set(cut)
    for key in whole:
        np.testing.assert_array_equal(whole.get(key), cut.get(key))


def test_ids_with_line_ends_of_unicode_and_slashes_are_kept(
    corpus: Path, codec: DacCodec, tmp_path: Path
) -> None:
    keys = ["a\u2028b", "../c", "d\x85e", "ሰላም/ለዓለም", "f\x0bg", "/h", " "]
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text(encoding="utf-8").split("\n")[:7]]
    for row, key in zip(rows, keys, strict=True):
        row |= {"id": key, "audio_filepath": str(corpus / row["audio_filepath"])}
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    encode_manifest(manifest, codec, tmp_path / "codes")
    assert set(CodeStore.open(tmp_path / "codes")) == set(keys)
    assert encode_manifest(manifest, codec, tmp_path / "codes").reused == 7


def _spoilt(corpus: Path, folder: Path) -> Path:
    """A copy of the corpus of which some files cannot be read; its manifest."""
    shutil.copytree(corpus, folder)
    manifest = folder / "train.jsonl"
    files = [u.audio_path(manifest) for u in read_manifest(manifest)]
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(files[2].read_bytes()[:-9000])
    files[3].write_bytes(b"no audio at all")
    return manifest


@pytest.mark.parametrize("together", [0.0, 60.0])
def test_audio_that_cannot_be_read_is_a_reason_and_tried_again(
    corpus: Path, codec: DacCodec, tmp_path: Path, together: float
) -> None:
    manifest = _spoilt(corpus, tmp_path / "data")
    keys = [u.id for u in read_manifest(manifest)]
    report = encode_manifest(manifest, codec, tmp_path / "codes", batch_seconds=together)
    assert (report.encoded, report.reused) == (3, 0)
    assert set(report.without) == set(keys[:4])
    assert report.speech == pytest.approx(sum(u.duration for u in list(read_manifest(manifest))[4:]))
    for key, said in zip(keys, ("No such file", "0 bytes", "cut short", "cannot be decoded"), strict=False):
        assert said in report.without[key]
        assert CodeStore.open(tmp_path / "codes").problem(key) == report.without[key]
    assert {v.id for v in verify_codes(CodeStore.open(tmp_path / "codes"), manifest, codec, count=9)} == set(
        keys[4:]
    )
    shutil.copytree(corpus / "audio", tmp_path / "data/audio", dirs_exist_ok=True)
    again = encode_manifest(manifest, codec, tmp_path / "codes", batch_seconds=together)
    assert (again.encoded, again.reused, again.without) == (4, 3, {})
    encode_manifest(corpus / "train.jsonl", codec, tmp_path / "whole")
    whole, mended = CodeStore.open(tmp_path / "whole"), CodeStore.open(tmp_path / "codes")
    for key in keys:
        np.testing.assert_array_equal(whole.get(key), mended.get(key))


def test_nothing_is_left_where_no_audio_can_be_read(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    manifest = _spoilt(corpus, tmp_path / "data")
    files = [u.audio_path(manifest) for u in read_manifest(manifest)]
    for path in files[1:]:
        path.write_bytes(b"no audio")
    with pytest.raises(AmttsError, match="no utterance of .* has codes; .*cannot be decoded"):
        encode_manifest(manifest, codec, tmp_path / "codes")
    for path in files[1:]:
        path.unlink()
    with pytest.raises(AmttsError, match="no audio file that .* names is there, such as"):
        encode_manifest(manifest, codec, tmp_path / "codes")
    assert not (tmp_path / "codes").exists()


def test_two_processes_never_write_one_shard(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    """Rows and codes of both would have come in turns, and the rows' places would have been wrong."""
    identity = CodecIdentity.of(codec)
    writer = ShardWriter.open(tmp_path / "shard-00000-of-00001", identity)
    for force in (False, True):
        with pytest.raises(AmttsError, match="another `amtts encode-codes` is at work in"):
            encode_manifest(corpus / "train.jsonl", codec, tmp_path, force=force)
    assert (writer.folder / "codec.json").exists(), "not even --force takes it away"
    writer.close()
    assert encode_manifest(corpus / "train.jsonl", codec, tmp_path).encoded == 7
    with pytest.raises(AmttsError, match="does not name it"):
        encode_manifest(corpus / "val.jsonl", codec, tmp_path)
    assert encode_manifest(corpus / "train.jsonl", codec, tmp_path).reused == 7, "a refusal lets go of it"


def test_another_number_of_shards_is_refused(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    encode_manifest(corpus / "train.jsonl", codec, tmp_path)
    with pytest.raises(AmttsError, match="holds shards of 1 parts, this would be one of 2") as caught:
        encode_manifest(corpus / "train.jsonl", codec, tmp_path, num_shards=2)
    assert "--num-shards 1" in caught.value.remedy
    assert len(CodeStore.open(tmp_path)) == 7


def test_a_folder_that_cannot_be_written_is_told(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AmttsError, match="cannot be written: Not a directory"):
        encode_manifest(corpus / "train.jsonl", codec, tmp_path / "file")


def test_codes_that_two_bytes_cannot_hold_are_refused(corpus: Path, weights: Path, tmp_path: Path) -> None:
    codec = DacCodec.open(weights)
    codec.cardinality = 65537
    with pytest.raises(AmttsError, match="'dac' has 65537 entries a codebook; .* at most 65536"):
        encode_manifest(corpus / "train.jsonl", codec, tmp_path / "codes")
    assert not (tmp_path / "codes").exists()


def test_progress_tells_utterances_and_speed(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    told: list[EncodeProgress] = []
    report = encode_manifest(corpus / "train.jsonl", codec, tmp_path, on_progress=told.append)
    assert [(p.done, p.total) for p in told] == [(done, 7) for done in range(8)]
    assert told[-1].speech == pytest.approx(report.speech)
    assert told[-1].speed == pytest.approx(told[-1].speech / told[-1].took)
    assert report.speed == pytest.approx(told[-1].speed, rel=0.5)


def test_rows_whose_codes_were_lost_are_encoded_again(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    encode_manifest(corpus / "train.jsonl", codec, tmp_path)
    codes = tmp_path / "shard-00000-of-00001" / "codes.bin"
    codes.write_bytes(codes.read_bytes()[:-5])
    report = encode_manifest(corpus / "train.jsonl", codec, tmp_path)
    assert report.encoded == 1


def test_shards_join_into_one_store(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    manifest = corpus / "train.jsonl"
    for index in (0, 1):
        if index:
            with pytest.raises(AmttsError, match="shard-00001-of-00002 of 2 missing"):
                CodeStore.open(tmp_path)
        encode_manifest(manifest, codec, tmp_path, num_shards=2, shard_index=index)
    assert set(CodeStore.open(tmp_path)) == {u.id for u in read_manifest(manifest)}
    with pytest.raises(AmttsError, match="shard index 2 is out of range; expected 0 to 1"):
        encode_manifest(manifest, codec, tmp_path, num_shards=2, shard_index=2)


def test_other_weights_are_refused_with_both_ids(
    corpus: Path, codec: DacCodec, weights: Path, tmp_path: Path
) -> None:
    manifest = corpus / "train.jsonl"
    encode_manifest(manifest, codec, tmp_path / "codes")
    write_pth(tmp_path / "other.pth", seed=5)
    others = [DacCodec.open(tmp_path / "other.pth"), DacCodec.open(weights, num_codebooks=2)]
    for other in others:
        with pytest.raises(AmttsError) as caught:
            encode_manifest(manifest, other, tmp_path / "codes")
        assert codec.weights_hash[:12] in str(caught.value)
        assert other.weights_hash[:12] in str(caught.value)
    store = CodeStore.open(tmp_path / "codes")
    with pytest.raises(AmttsError, match="expected dac:"):
        verify_codes(store, manifest, others[0], count=1)


def test_codes_of_another_manifest_are_refused(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    encode_manifest(corpus / "train.jsonl", codec, tmp_path)
    with pytest.raises(AmttsError, match="does not name it"):
        encode_manifest(corpus / "val.jsonl", codec, tmp_path)
    assert encode_manifest(corpus / "val.jsonl", codec, tmp_path, force=True).encoded == 1


def test_a_shard_without_utterances_is_finished_too(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    for index in range(2):
        encode_manifest(corpus / "val.jsonl", codec, tmp_path, num_shards=2, shard_index=index)
    assert len(CodeStore.open(tmp_path)) == 1


def test_audio_that_changed_is_noticed(corpus: Path, codec: DacCodec, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "data")
    manifest = tmp_path / "data" / "train.jsonl"
    encode_manifest(manifest, codec, tmp_path / "codes")
    victim = next(read_manifest(manifest)).audio_path(manifest)
    victim.write_bytes(victim.read_bytes() + b"\0\0")
    with pytest.raises(AmttsError, match="its audio was"):
        encode_manifest(manifest, codec, tmp_path / "codes")


def test_codes_that_are_not_the_audio_fail_the_verification(
    corpus: Path, codec: DacCodec, tmp_path: Path
) -> None:
    manifest = corpus / "train.jsonl"
    encode_manifest(manifest, codec, tmp_path)
    good = verify_codes(CodeStore.open(tmp_path), manifest, codec, count=3)
    assert len(good) == 3
    assert all(item.ok and item.equal == 1.0 for item in good)
    path = tmp_path / "shard-00000-of-00001" / "codes.bin"
    random = np.random.default_rng(0).integers(0, 16, path.stat().st_size // 2).astype(np.uint16)
    path.write_bytes(random.tobytes())
    assert not any(item.ok for item in verify_codes(CodeStore.open(tmp_path), manifest, codec, count=3))


def test_a_writer_keeps_what_was_appended(codec: DacCodec, tmp_path: Path) -> None:
    writer = ShardWriter.open(tmp_path / "shard-00000-of-00001", CodecIdentity.of(codec))
    codes = np.arange(12).reshape(4, 3)
    writer.append([EncodedUtterance("ሀ", "x", {"codes": codes})])
    writer.finish()
    again = ShardWriter.open(tmp_path / "shard-00000-of-00001", CodecIdentity.of(codec))
    assert again.done == {"ሀ": "x"}
    np.testing.assert_array_equal(CodeStore.open(tmp_path).get("ሀ"), codes)
    with pytest.raises(AmttsError, match="no codes of utterance 'b'"):
        CodeStore.open(tmp_path).get("b")


def test_the_command(corpus: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "encode-codes",
        str(corpus / "train.jsonl"),
        "--weights",
        str(weights),
        "--out",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--num-codebooks", "2", "--verify", "2", "--json"])
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["encoded"] == 7
    assert told["codec"]["num_codebooks"] == 2
    assert [item["equal"] for item in told["verified"]] == [1.0, 1.0]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "(2 x 16)" in said
    assert "(3 x 16)" in said


def test_an_unfinished_or_other_store_is_told_with_the_way_out(
    corpus: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = str(corpus / "train.jsonl")
    arguments = ["encode-codes", manifest, "--weights", str(weights), "--out", str(tmp_path), "--verify", "7"]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "7 utterances encoded: 0." in capsys.readouterr().out
    shard = tmp_path / "shard-00000-of-00001"
    codes = np.fromfile(shard / "codes.bin", np.uint16)
    codes[::20] ^= 1
    codes.tofile(shard / "codes.bin")
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 1
    told = capsys.readouterr()
    assert "0 utterances encoded, 7 were there already\n" in told.out
    assert told.out.count("FAILED") == 7
    assert "another --precision" in told.err
    (shard / "codec.json").write_text("{")
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "--force" in capsys.readouterr().err


def test_a_codec_without_bf16_says_so(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caches = tmp_path / "caches"
    caches.mkdir()
    with pytest.raises(SystemExit) as left:
        main(
            ["encode-codes", str(corpus / "train.jsonl"), "--codec", "s3", "--weights", str(caches)]
            + ["--precision", "bf16", "--out", str(tmp_path / "codes")]
        )
    assert left.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "codec 's3' computes in fp32 only, got precision bf16" in said
    assert "Leave out --precision" in said
    assert not (tmp_path / "codes").exists()
