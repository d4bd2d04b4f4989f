"""What every tokenizer promises: lossless on Ethiopic text, no unknown letter, stored and found again unchanged."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer, train_tokenizer
from amtts_core.tokenizers.registry import KINDS
from amtts_core.tokenizers.settings import BOS, EOS, PAD, SPECIALS, UNK

TEXTS = [
    "እናቴ ዛሬ ጠዋት ከገበያ ሽንኩርት ገዛች።",
    "አባቴ ማታ ከሥራ ሲመለስ ዳቦ ይዞ ይመጣል።",
    "ልጆቹ ከትምህርት ቤት ሲመለሱ ኳስ ተጫወቱ፤ ከዚያም በልተው ተኙ።",
    "ሰላም ለዓለም፣ ሰላም ለሁሉም ይሁን!",
]
LETTERS = [chr(code) for code in range(0x1200, 0x135B) if unicodedata.name(chr(code), "")]
MARKS = [*"።፣፤፥፦፧፡!?.,- ", *(chr(code) for code in range(0x1369, 0x137D)), "\u135f"]
ETHIOPIC = st.text(alphabet=st.sampled_from([*LETTERS, *MARKS]), max_size=60)

TOKENIZERS = {kind: train_tokenizer(kind, TEXTS) for kind in KINDS}
TOKENIZERS |= {f"{kind}+bytes": train_tokenizer(kind, TEXTS, byte_fallback=True) for kind in KINDS}
each_tokenizer = pytest.mark.parametrize("name", TOKENIZERS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_tokenizer
def test_every_letter_encodes_alone_and_comes_back(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert len(LETTERS) == 326
    for character in [*LETTERS, *MARKS]:
        ids = tokenizer.encode(character)
        assert tokenizer.unk_id not in ids, character
        assert tokenizer.decode(ids) == character


@each_tokenizer
@settings(max_examples=60, deadline=None)
@given(text=ETHIOPIC)
def test_ethiopic_text_is_lossless_without_an_unknown(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(text)
    assert not {PAD, UNK, BOS, EOS} & set(ids)
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name.endswith("bytes")])
@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_characters="\0▁", exclude_categories=["Cs"]), max_size=20))
def test_byte_fallback_writes_any_text(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(text)
    assert tokenizer.unk_id not in ids
    assert tokenizer.decode(ids) == text


@each_tokenizer
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_ids_decode(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=20))
    assert isinstance(tokenizer.decode(ids), str)


@each_tokenizer
@given(text=st.text(max_size=20))
@settings(max_examples=30, deadline=None)
def test_any_text_encodes_within_the_vocabulary(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert all(0 <= number < tokenizer.vocab_size for number in tokenizer.encode(text))


@each_tokenizer
def test_specials_symbols_and_sizes_agree(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert isinstance(tokenizer, TextTokenizer)
    assert tokenizer.kind == name.split("+")[0]
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    symbols = tokenizer.symbols()
    assert tuple(symbols[:4]) == SPECIALS
    assert len(symbols) == len(set(symbols)) == tokenizer.vocab_size
    assert tokenizer.decode([PAD, BOS, *tokenizer.encode("ሰላም"), EOS]) == "ሰላም"


@each_tokenizer
def test_a_lone_surrogate_is_no_crash(name: str) -> None:
    assert TOKENIZERS[name].encode("ሀ\ud800")


@each_tokenizer
def test_saved_loaded_and_pickled_it_is_the_same(name: str, tmp_path: Path) -> None:
    tokenizer = TOKENIZERS[name]
    tokenizer.save(tmp_path / "deep" / "tokenizer")
    for again in (load_tokenizer(tmp_path / "deep" / "tokenizer"), pickle.loads(pickle.dumps(tokenizer))):
        assert again.fingerprint() == tokenizer.fingerprint()
        assert again.symbols() == tokenizer.symbols()
        assert [again.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]


@each_kind
def test_training_is_deterministic_and_fingerprints_tell_apart(kind: str) -> None:
    assert train_tokenizer(kind, iter(TEXTS)).fingerprint() == TOKENIZERS[kind].fingerprint()
    assert len({tokenizer.fingerprint() for tokenizer in TOKENIZERS.values()}) == len(TOKENIZERS)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(AmttsError, match=r"'fidell' \(did you mean 'fidel'\?\).*unigram"):
        train_tokenizer("fidell", TEXTS)


def _break(folder: Path, kind: str, what: str) -> Path:
    TOKENIZERS[kind].save(folder)
    settings_file = folder / "tokenizer.json"
    stored = json.loads(settings_file.read_text(encoding="utf-8"))
    match what:
        case "no folder":
            return folder / "nowhere"
        case "a file":
            return settings_file
        case "no settings":
            settings_file.unlink()
        case "not JSON":
            settings_file.write_text('{"kind": "fid', encoding="utf-8")
        case "not UTF-8":
            settings_file.write_bytes(b"\xff\xfe\x00")
        case "foreign JSON":
            settings_file.write_text('{"model": {"type": "BPE"}}', encoding="utf-8")
        case "kind":
            settings_file.write_text(json.dumps(stored | {"kind": "wordpiece"}), encoding="utf-8")
        case "format":
            settings_file.write_text(json.dumps(stored | {"format": 99}), encoding="utf-8")
        case "no symbols":
            settings_file.write_text(json.dumps({"kind": kind, "format": 1}), encoding="utf-8")
        case "symbol twice":
            doubled = {"symbols": [*stored["symbols"], "ል"]}
            settings_file.write_text(json.dumps(stored | doubled), encoding="utf-8")
        case "no specials":
            settings_file.write_text(json.dumps(stored | {"symbols": ["ል", "+a"]}), encoding="utf-8")
        case "no model":
            (folder / "tokenizer.model").unlink()
        case "cut model":
            model = (folder / "tokenizer.model").read_bytes()
            (folder / "tokenizer.model").write_bytes(model[: len(model) // 2])
        case "no SentencePiece":
            import hashlib

            (folder / "tokenizer.model").write_bytes(b"rubbish")
            digest = hashlib.sha256(b"rubbish").hexdigest()
            settings_file.write_text(json.dumps(stored | {"sha256": digest}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("kind", "what", "message"),
    [
        ("fidel", "no folder", "no tokenizer at .*there is no such folder"),
        ("fidel", "a file", "is a file; expected a tokenizer folder"),
        ("fidel", "no settings", "tokenizer.json is missing"),
        ("fidel", "not JSON", "is damaged: tokenizer.json cannot be read"),
        ("fidel", "not UTF-8", "is damaged: tokenizer.json cannot be read"),
        ("fidel", "foreign JSON", "names no tokenizer kind"),
        ("fidel", "kind", "unknown kind 'wordpiece'.*fidel, unigram, bpe, char"),
        ("fidel", "format", "format 99; this version reads format 1"),
        ("fidel", "no symbols", "list of symbols is missing"),
        ("fidel", "symbol twice", "occurs twice"),
        ("fidel", "no specials", "first four symbols"),
        ("unigram", "no model", "tokenizer.model: No such file"),
        ("bpe", "cut model", "SHA-256"),
        ("char", "no SentencePiece", "not a SentencePiece model"),
    ],
)
def test_loading_tells_what_is_wrong_and_how_to_mend_it(
    tmp_path: Path, kind: str, what: str, message: str
) -> None:
    folder = _break(tmp_path / "tokenizer", kind, what)
    with pytest.raises(AmttsError, match=message) as caught:
        load_tokenizer(folder)
    assert "amtts tokenize" in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_the_text_package_loads_no_torch_and_sentencepiece_only_when_used() -> None:
    script = (
        "import sys, amtts_core.tokenizers.factory as t, amtts_core.corpus.coverage\n"
        "import amtts_core.tokenizers.folder, amtts_core.tokenizers.sentencepiece\n"
        "t.train_tokenizer('fidel', []).encode('ሰላም')\n"
        "print(*sorted({'torch', 'sentencepiece', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
