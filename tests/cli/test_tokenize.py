"""`amtts tokenize` as a user runs it: what it writes, what it leaves alone, and every way it can fail."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from amtts_cli import console
from amtts_cli.app import main
from amtts_core.storage.json_lines import write_jsonl
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet

TRAIN = ["ሰላም ለዓለም።", "እናቴ ዛሬ ከገበያ ሽንኩርት ገዛች።", "አባቴ ማታ ዳቦ ይዞ ይመጣል።", "ልጆቹ ኳስ ተጫወቱ።"] * 3
Run = Callable[..., tuple[int, str, str]]


def write_manifest(path: Path, texts: list[str], *, lang: str = "am") -> Path:
    write_jsonl(
        path,
        [
            {"id": f"u{n}", "audio_filepath": f"{n}.wav", "duration": 2.0, "text": text, "lang": lang}
            for n, text in enumerate(texts)
        ],
    )
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    write_manifest(folder / "train.jsonl", TRAIN)
    write_manifest(folder / "val.jsonl", ["ሰላም ነው።"])
    write_manifest(folder / "test.jsonl", ["ፀሐይ ወጣች፤ ቀኑ ሞቀ!"])
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `amtts tokenize ARGUMENTS` through `main`: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        console.use_json(False)
        try:
            main(["tokenize", *map(str, arguments)])
            code: Any = 0
        except SystemExit as stop:
            code = stop.code
        shown = capsys.readouterr()
        return code or 0, shown.out, shown.err

    return call


def refused(outcome: tuple[int, str, str]) -> str:
    """The message of a run that must have ended with one line and exit code 2."""
    code, _, err = outcome
    assert code == 2, err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    return err


@pytest.mark.parametrize("kind", ["fidel", "unigram", "bpe", "char"])
def test_it_trains_reports_and_writes(corpus: Path, run: Run, kind: str) -> None:
    code, out, _ = run("--data", corpus, "--kind", kind)
    assert code == 0
    tokenizer = load_tokenizer(corpus / "tokenizer")
    assert tokenizer.kind == kind
    assert tokenizer.decode(tokenizer.encode(TRAIN[0])) == TRAIN[0]
    assert f"{kind} tokenizer with {tokenizer.vocab_size} symbols" in out
    report = json.loads((corpus / "tokenizer" / "tokenizer_report.json").read_text(encoding="utf-8"))
    assert report["vocab_size"] == tokenizer.vocab_size
    assert report["fingerprint"] == tokenizer.fingerprint()
    assert report["train"]["utterances"] == len(TRAIN)
    assert report["held_out"]["utterances"] == 2
    assert report["unk_ratio"] == 0.0
    assert "ፐ" in report["letters_never_seen"]
    assert sorted(entry.name for entry in corpus.iterdir()) == [
        "test.jsonl", "tokenizer", "train.jsonl", "val.jsonl",
    ]  # fmt: skip


def test_json_is_one_object(corpus: Path, run: Run) -> None:
    code, out, _ = run("--data", corpus, "--out", corpus / "tok", "--json")
    values = json.loads(out)
    assert code == 0
    assert values["ok"]
    assert values["outcome"] == "written"
    assert values["kind"] == "fidel"
    assert values["train"]["tokens_per_word"] > values["train"]["tokens_per_second"] / 4


def test_a_manifest_alone_and_a_size(tmp_path: Path, run: Run) -> None:
    manifest = write_manifest(tmp_path / "a" / "all.jsonl", TRAIN)
    code, out, _ = run("--manifest", manifest, "--kind", "bpe", "--vocab-size", 380, "--byte-fallback")
    assert code == 2  # bytes take 256 of them
    code, out, _ = run("--manifest", manifest, "--kind", "bpe", "--vocab-size", 640, "--byte-fallback")
    assert code == 0
    assert load_tokenizer(manifest.parent / "tokenizer").vocab_size == 640
    assert "no val.jsonl" in out


def test_again_is_unchanged_another_needs_force(corpus: Path, run: Run) -> None:
    assert "written" in run("--data", corpus)[1]
    before = (corpus / "tokenizer" / "tokenizer.json").stat().st_mtime_ns
    assert "unchanged" in run("--data", corpus)[1]
    assert (corpus / "tokenizer" / "tokenizer.json").stat().st_mtime_ns == before
    assert "--force" in refused(run("--data", corpus, "--kind", "char"))
    assert load_tokenizer(corpus / "tokenizer").kind == "fidel"
    assert "replaced" in run("--data", corpus, "--kind", "char", "--force")[1]
    assert load_tokenizer(corpus / "tokenizer").kind == "char"
    assert not [entry for entry in corpus.iterdir() if entry.name.startswith(".")]


def test_an_existing_tokenizer_is_only_measured(corpus: Path, run: Run) -> None:
    run("--data", corpus, "--out", corpus / "tok")
    before = {path.name: path.stat().st_mtime_ns for path in (corpus / "tok").iterdir()}
    code, out, _ = run("--data", corpus, "--tokenizer", corpus / "tok")
    assert code == 0
    assert "measured" in out
    assert {path.name: path.stat().st_mtime_ns for path in (corpus / "tok").iterdir()} == before
    assert not (corpus / "tokenizer").exists()
    message = refused(run("--data", corpus, "--tokenizer", corpus / "tok", "--kind", "char", "--force"))
    assert "--kind, --force" in message


@pytest.mark.parametrize("split", ["train", "test"])
def test_unknown_characters_fail_by_name_and_write_nothing(corpus: Path, run: Run, split: str) -> None:
    write_manifest(corpus / f"{split}.jsonl", ["ሰላም é é 漢"])
    message = refused(run("--data", corpus))
    assert "'é' U+00E9 (2), '漢' U+6F22 (1)" in message
    assert "--byte-fallback" in message
    assert not (corpus / "tokenizer").exists()
    assert run("--data", corpus, "--max-unk", "0.5")[0] == 0
    assert run("--data", corpus, "--out", corpus / "bytes", "--byte-fallback")[0] == 0


def test_unknown_characters_in_json(corpus: Path, run: Run) -> None:
    write_manifest(corpus / "val.jsonl", ["é"])
    code, out, err = run("--data", corpus, "--json")
    assert (code, json.loads(out)["ok"], json.loads(out)["outcome"]) == (2, False, "nothing written")
    assert "U+00E9" in err


def test_a_letter_sentencepiece_never_saw_is_no_unknown(corpus: Path, run: Run) -> None:
    write_manifest(corpus / "test.jsonl", ["ጷቛዃ፼ ፐፑ፧"])
    assert run("--data", corpus, "--kind", "unigram")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs a corpus"),
        (["--data", "{corpus}", "--kind", "fidell"], "did you mean 'fidel'"),
        (["--data", "{corpus}", "--kind", "bpe", "--vocab-size", "99"], "expected 100 to 20000"),
        (["--data", "{corpus}", "--kind", "bpe", "--vocab-size", "100"], "too small"),
        (["--data", "{corpus}", "--kind", "unigram", "--vocab-size", "20000"], "too large for these texts"),
        (["--data", "{corpus}", "--vocab-size", "300"], "always has"),
        (["--data", "{corpus}/nowhere"], "amtts prepare"),
        (["--data", "{corpus}/train.jsonl"], "Give it as --manifest"),
        (["--manifest", "{corpus}"], "is a folder; expected a manifest"),
        (["--data", "{corpus}", "--tokenizer", "{corpus}/nowhere"], "no tokenizer at"),
        (
            ["--data", "{corpus}", "--tokenizer", "{corpus}/train.jsonl"],
            "train.jsonl cannot be read",
        ),
        (["--data", "{corpus}", "--out", "{corpus}/train.jsonl"], "is a file; expected a folder"),
        (["--data", "{corpus}", "--out", "{corpus}/train.jsonl/deep/er"], "is a file; expected a folder"),
        (["--data", "{corpus}", "--out", "{corpus}", "--force"], "is not a tokenizer folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    corpus: Path, run: Run, arguments: list[str], message: str
) -> None:
    before = sorted(corpus.rglob("*"))
    assert message in refused(run(*(part.format(corpus=corpus) for part in arguments)))
    assert sorted(corpus.rglob("*")) == before


def one_line(text: str, duration: float = 1.0) -> str:
    row = {"id": "a", "audio_filepath": "a.wav", "duration": duration, "text": text}
    return json.dumps(row) + "\n"


@pytest.mark.parametrize(
    ("lines", "fidel", "unigram"),
    [
        ("", "holds no utterance", "every text is empty"),
        (one_line(" "), "not one Ethiopic letter", "every text is empty"),
        (one_line("hello"), "not one Ethiopic letter", "not one Ethiopic letter"),
        ('{"id": "a"\n', "line 1: not JSON", "line 1: not JSON"),
        (one_line("ሀ", -1), "line 1: duration", "line 1: duration"),
    ],
)
def test_manifests_that_cannot_be_used(corpus: Path, run: Run, lines: str, fidel: str, unigram: str) -> None:
    (corpus / "train.jsonl").write_text(lines, encoding="utf-8")
    assert fidel in refused(run("--data", corpus, "--kind", "fidel"))
    assert unigram in refused(run("--data", corpus, "--kind", "unigram"))
    assert not (corpus / "tokenizer").exists()


def test_a_folder_that_also_holds_other_files_is_never_replaced(corpus: Path, run: Run) -> None:
    run("--data", corpus)
    (corpus / "tokenizer" / "model.safetensors").write_bytes(b"weights")
    message = refused(run("--data", corpus, "--kind", "char", "--force"))
    assert "model.safetensors" in message
    assert load_tokenizer(corpus / "tokenizer").kind == "fidel"


def test_a_damaged_tokenizer_is_replaced_with_force_only(corpus: Path, run: Run) -> None:
    run("--data", corpus)
    (corpus / "tokenizer" / "tokenizer.json").write_text("{", encoding="utf-8")
    assert "is damaged" in refused(run("--data", corpus))
    assert run("--data", corpus, "--force")[0] == 0
    assert load_tokenizer(corpus / "tokenizer").kind == "fidel"


def test_an_empty_folder_and_a_link_may_be_written_into(corpus: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert run("--data", corpus, "--out", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert load_tokenizer(tmp_path / "real").kind == "fidel"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(corpus: Path, run: Run, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "cannot write" in refused(run("--data", corpus, "--out", closed / "tok"))


def test_a_failing_rename_leaves_the_old_tokenizer(
    corpus: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--data", corpus)
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    message = refused(run("--data", corpus, "--kind", "char", "--force"))
    assert "No space left" in message
    assert load_tokenizer(corpus / "tokenizer").kind == "fidel"
    assert sorted(entry.name for entry in corpus.iterdir() if entry.name.startswith(".")) == []


def test_bad_ratio_and_unknown_option_exit_with_2(corpus: Path, run: Run) -> None:
    assert run("--data", corpus, "--max-unk", "2")[0] == 2
    assert run("--data", corpus, "--nonsense")[0] == 2


@pytest.mark.parametrize("bytes_too", [False, True])
@pytest.mark.parametrize("kind", ["fidel", "unigram", "bpe", "char"])
def test_indextts2_gets_its_own_file(corpus: Path, run: Run, kind: str, bytes_too: bool) -> None:
    options = ["--byte-fallback"] if bytes_too else []
    code, _, err = run("--data", corpus, "--kind", kind, "--backend", "indextts2", *options)
    assert code == 0, err
    own = load_tokenizer(corpus / "tokenizer")
    oracle = SentencePieceProcessor(model_file=str(corpus / "tokenizer" / "tokenizer.model"))
    assert (
        (oracle.bos_id(), oracle.eos_id(), oracle.unk_id())
        == (0, 1, 2)
        == (own.bos_id, own.eos_id, own.unk_id)
    )
    assert not [sign for sign in ethiopic_alphabet() if own.unk_id in own.encode(sign)]
    for text in [*TRAIN, "ሰላም😀"]:
        if kind != "fidel":
            assert own.encode(text) == oracle.encode(text)
        assert (own.unk_id in own.encode(text)) == ("😀" in text and not bytes_too)
        assert own.decode(own.encode(text)) == text.replace("😀", "😀" if bytes_too else "⁇")


@pytest.mark.parametrize("bytes_too", [False, True])
@pytest.mark.parametrize("kind", ["fidel", "unigram", "bpe", "char"])
def test_chatterbox_gets_its_own_file(corpus: Path, run: Run, kind: str, bytes_too: bool) -> None:
    options = ["--byte-fallback"] if bytes_too else []
    code, _, err = run("--data", corpus, "--kind", kind, "--backend", "chatterbox", *options)
    assert code == 0, err
    own = load_tokenizer(corpus / "tokenizer")
    oracle = Tokenizer.from_file(str(corpus / "tokenizer" / "tokenizer.model"))
    specials = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 255}
    assert {name: oracle.token_to_id(name) for name in specials} == specials
    assert (own.eos_id, own.unk_id, own.bos_id) == (0, 1, 255)
    assert oracle.get_vocab_size() == own.vocab_size
    assert not [sign for sign in ethiopic_alphabet() if 1 in oracle.encode(sign).ids]
    for text in [*TRAIN, "ሰላም😀"]:
        assert own.encode(text) == oracle.encode(text.replace(" ", "[SPACE]")).ids
        assert (own.unk_id in own.encode(text)) == ("😀" in text and not bytes_too)
        assert own.decode(own.encode(text)) == text.replace("😀", "😀" if bytes_too else "⁇")


@pytest.mark.parametrize("backend", ["chatterbox", "indextts2"])
def test_a_backends_sizes_are_exact_or_named(corpus: Path, run: Run, backend: str) -> None:
    small = refused(run("--data", corpus, "--backend", backend, "--kind", "unigram", "--vocab-size", 100))
    least = int(re.search(r"take (\d+)", small)[1])
    most = refused(run("--data", corpus, "--backend", backend, "--kind", "unigram", "--vocab-size", 20000))
    most = int(re.search(r"at most (\d+)", most)[1])
    for kind, size in (("unigram", least), ("unigram", most), ("bpe", least), ("bpe", least + 5)):
        options = ["--kind", kind, "--vocab-size", size, "--out", corpus / f"{kind}-{size}"]
        code, _, err = run("--data", corpus, "--backend", backend, *options)
        assert code == 0, err
        assert load_tokenizer(corpus / f"{kind}-{size}").vocab_size == size
    message = refused(
        run("--data", corpus, "--backend", backend, "--kind", "unigram", "--vocab-size", least - 1)
    )
    assert str(least) in message
    refused(run("--data", corpus, "--backend", backend, "--vocab-size", 700))
    assert "did you mean" in refused(run("--data", corpus, "--backend", f"{backend}s"))
    assert "learns without text" in refused(run("--data", corpus, "--backend", "dac"))


def test_an_existing_tokenizer_of_any_format_encodes(corpus: Path, run: Run) -> None:
    run("--data", corpus, "--kind", "char", "--backend", "chatterbox")
    file = corpus / "tokenizer" / "tokenizer.model"
    code, out, err = run("--data", corpus, "--tokenizer", file, "--encoded", corpus / "ids" / "all.jsonl")
    assert code == 0, err
    rows = [json.loads(line) for line in (corpus / "ids" / "all.jsonl").read_text().splitlines()]
    assert len(rows) == len(TRAIN) + 2
    assert rows[0] == {"id": "u0", "tokens": load_tokenizer(corpus / "tokenizer").encode(TRAIN[0])}
    assert "--backend" in refused(run("--data", corpus, "--tokenizer", file, "--backend", "chatterbox"))
    refused(run("--data", corpus, "--tokenizer", file, "--encoded", corpus / "train.jsonl" / "x"))
