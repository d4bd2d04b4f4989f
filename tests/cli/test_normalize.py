"""`amtts normalize` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def piped(data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "amtts_cli", "normalize", *arguments]
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


def test_arguments_give_one_line_each(amtts) -> None:
    done = amtts("normalize", "--no-fold-homophones", "ዶ/ር አበበ", "3ኛው", "በ5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ዶክተር አበበ", "ሦስተኛው", "በአምስት"]
    assert done.stderr == ""


def test_the_former_name_of_language_is_understood(amtts) -> None:
    done = amtts("normalize", "--lang", "ti", "5")
    assert (done.returncode, done.stdout) == (0, amtts("normalize", "--language", "ti", "5").stdout)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_standard_input_keeps_the_lines(encoding: str) -> None:
    done = piped("ሰላም 5\n\nደህና፡፡\n".encode(encoding))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split("\n") == ["ሰላም አምስት", "", "ደህና።", ""]


def test_bad_bytes_name_the_line_and_exit_2() -> None:
    done = piped(b"5\n\xff\xe1\n")
    assert done.returncode == 2
    assert b"standard input, line 2" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_explain_and_leftovers_go_to_standard_error(amtts) -> None:
    done = amtts("normalize", "--explain", "ዶ/ር 中中")
    assert done.stdout == "ዶክተር 中中\n"
    assert "abbreviations/abbreviation: ዶ/ር -> ዶክተር" in done.stderr
    assert "'中' (U+4E2D) 2" in done.stderr


def test_json_holds_texts_rules_and_leftovers(amtts) -> None:
    done = amtts("normalize", "--json", "--explain", "😀5 中")
    result = json.loads(done.stdout)
    assert result["leftovers"] == {"中": 1}
    assert result["left_out"] == {"😀": 1}
    assert result["texts"][0]["normalized"] == "አምስት 中"
    assert result["texts"][0]["rules"][:2] == [
        {"stage": "residue", "rule": "emoji", "before": "😀", "after": ""},
        {"stage": "numbers", "rule": "number", "before": "5", "after": "አምስት"},
    ]


def test_guesses_and_what_is_left_out_are_counted(amtts) -> None:
    done = amtts("normalize", "የZorkk ነገር 😀 <b>እ.ጅ.ቀ</b>")
    assert done.stdout == "የዞርክ ነገር እጅቀ\n"
    assert "read by guess: እ.ጅ.ቀ 1, Zorkk 1; --lexicon FILE takes readings of your own" in done.stderr
    assert "left out, as no text: <b> 1, </b> 1, 😀 1" in done.stderr


def test_lexicon_switches_and_targets(amtts, tmp_path: Path) -> None:
    lexicon = tmp_path / "mine.tsv"
    lexicon.write_text("ACME\tአክሜ\n", encoding="utf-8")
    assert amtts("normalize", "--lexicon", lexicon, "የACME").stdout == "የአክሜ\n"
    assert amtts("normalize", "--set", "explicit_one=always", "100").stdout == "አንድ መቶ\n"
    assert amtts("normalize", "--to", "ipa", "ገና፟").stdout == "ɡənːa\n"
    assert amtts("normalize", "--to", "roman", "ሰላም").stdout == "selam\n"
    assert amtts("normalize", "--language", "ti", "ዓዲ ሠብ").stdout == "ዓዲ ሰብ\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--language", "amh", "5"), "'amh'"),
        (("--set", "fold_homophone=no", "5"), "did you mean 'fold_homophones'?"),
        (("--set", "explicit_one=perhaps", "5"), "explicit_one"),
        (("--lexicon", "missing.tsv", "5"), "missing.tsv"),
        (("--language", "ti", "--to", "ipa", "5"), "--to ipa"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(amtts, arguments: tuple[str, ...], told: str) -> None:
    done = amtts("normalize", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
