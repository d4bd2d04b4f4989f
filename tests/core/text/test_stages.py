"""Switches, the user's lexicon, the calendar, the clock, leftovers and what `explain` tells."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from amtts_core.errors import AmttsError
from amtts_core.text.amharic.clock import to_ethiopian_hour
from amtts_core.text.amharic.ethiopian_calendar import days_in_month
from amtts_core.text.amharic.numbers import LARGEST, cardinal
from amtts_core.text.lexicon import read_lexicon
from amtts_core.text.normalizer import Normalizer, NormalizerSettings


def read(text: str, **switches: object) -> str:
    return Normalizer(NormalizerSettings.model_validate({"fold_homophones": False, **switches}))(text)


@pytest.mark.parametrize(
    ("switches", "text", "expected"),
    [
        ({"numbers": False}, "5 ሰዎች", "5 ሰዎች"),
        ({"abbreviations": False}, "ዶ/ር አበበ", "ዶ ር አበበ"),
        ({"latin": False}, "UN ነው", "UN ነው"),
        ({"latin_words": "keep"}, "xyzzy UN", "xyzzy ዩ ኤን"),
        ({"typos": False}, "ነዉ", "ነዉ"),
        ({"punctuation": False}, "ሰላም፡፡ (ደህና)", "ሰላም፡፡ (ደህና)"),
        ({"brackets": "delete"}, "አበበ (ነጋዴ) ሄደ", "አበበ ነጋዴ ሄደ"),
        ({"slash": "or"}, "ሻይና/ቡናውን", "ሻይና ወይም ቡናውን"),
        ({"strip_gemination_marks": False}, "ገና፟", "ገና፟"),
        ({"explicit_one": "always"}, "100", "አንድ መቶ"),
        ({"explicit_one": "always"}, "100000", "አንድ መቶ ሺህ"),
        ({"explicit_one": "never"}, "1105", "ሺህ መቶ አምስት"),
        ({"decimals": "number"}, "3.14", "ሦስት ነጥብ አስራ አራት"),
        ({"year_style": "hundreds"}, "በ1984 ዓ.ም", "በአስራ ዘጠኝ መቶ ሰማንያ አራት ዓመተ ምሕረት"),
        ({"percent": "ፐርሰንት"}, "5%", "አምስት ፐርሰንት"),
        ({"negative": "ኔጌቲቭ"}, "-5", "ኔጌቲቭ አምስት"),
        ({"clock": "from-24h"}, "14:30", "ከቀኑ ስምንት ሰዓት ተኩል"),
        ({"lexicon": {"ጂቡቲ": "ጅቡቲ"}}, "በጂቡቲ፣ ጂቡቲ", "በጅቡቲ፣ ጅቡቲ"),
        ({"lexicon": {"Elon": "ኤሎን"}}, "የElonን እና Elon-Musk", "የኤሎንን እና ኢሎን መስክ"),
        ({"lexicon": {"UN": "የተባበሩት መንግሥታት"}}, "UN ነው", "የተባበሩት መንግሥታት ነው"),
    ],
)
def test_switches(switches: dict[str, object], text: str, expected: str) -> None:
    assert read(text, **switches) == expected


def test_every_switch_is_described_and_unknown_ones_are_refused() -> None:
    assert all(field.description for field in NormalizerSettings.model_fields.values())
    with pytest.raises(ValidationError):
        NormalizerSettings.model_validate({"fold_homophone": True})


def test_long_numbers_depend_on_their_surroundings() -> None:
    assert read("123456789").startswith("አንድ መቶ ሃያ ሦስት ሚሊዮን")
    assert read("ሂሳቡ 123456789 ነው").startswith("ሂሳቡ አንድ ሁለት ሦስት")
    assert read("ህዝቡ 120000000 ነው") == "ህዝቡ አንድ መቶ ሃያ ሚሊዮን ነው"


def test_cardinals_reach_the_scale_words_and_no_further() -> None:
    assert cardinal(LARGEST).split()[-1] == "ዘጠኝ"
    with pytest.raises(ValueError):
        cardinal(LARGEST + 1)
    assert read("1" + "0" * 15).split() == ["አንድ", *["ዜሮ"] * 15]


def test_cardinals_are_all_different() -> None:
    numbers = [*range(3000), *range(99_000, 102_000), *range(999_000, 1_002_000)]
    assert len({cardinal(number) for number in numbers}) == len(numbers)


def test_explain_names_stage_rule_and_both_texts() -> None:
    fired = Normalizer().explain("ዶ/ር በ5፡30")
    assert [(rule.stage, rule.rule) for rule in fired] == [
        ("punctuation", "clock-colon"),
        ("abbreviations", "abbreviation"),
        ("numbers", "clock"),
        ("letters", "homophone"),
    ]
    assert (fired[1].before, fired[1].after) == ("ዶ/ር", "ዶክተር")


def test_leftovers_are_kept_and_counted() -> None:
    normalizer = Normalizer(NormalizerSettings(emoji="keep"))
    normalized = normalizer("ሰላም ☺☺ Привет")
    assert normalized == "ሰላም ☺☺ Привет"
    assert normalizer.leftovers(normalized)["☺"] == 2
    assert normalizer.leftovers(normalized).total() == 8


def test_emoji_and_markup_are_left_out_and_counted() -> None:
    normalizer = Normalizer()
    assert normalizer("<b>ሰላም</b> ☺☺ **ደህና**") == "ሰላም ደህና"
    assert normalizer.dropped("<b>ሰላም</b> ☺☺ **ደህና**") == {"<b>": 1, "</b>": 1, "☺☺": 1, "**ደህና**": 1}


def test_rough_readings_are_counted_and_a_lexicon_settles_them() -> None:
    text = "Zork እና ቐለ Google UN zork"
    assert Normalizer().guesses(text) == {"Zork": 1, "zork": 1, "ቐለ": 1}
    settled = Normalizer(NormalizerSettings(lexicon={"zork": "ዞርክ"}))
    assert settled.guesses(text) == {"ቐለ": 1}
    assert not Normalizer().guesses("ሰላም ለዓለም 25%")
    assert not Normalizer(NormalizerSettings(latin_words="keep")).guesses("Zork")


def test_normaliser_crosses_a_process_pool() -> None:
    copy = pickle.loads(pickle.dumps(Normalizer(NormalizerSettings(explicit_one="always"))))
    assert copy("100") == "አንድ መቶ"


def test_days_of_ethiopian_months() -> None:
    assert [days_in_month(2016, month) for month in (1, 12, 13)] == [30, 30, 5]
    assert days_in_month(2015, 13) == 6


@pytest.mark.parametrize(
    ("hour", "expected"),
    [(6, ("ከጠዋቱ", 12)), (12, ("ከቀኑ", 6)), (18, ("ከምሽቱ", 12)), (0, ("ከሌሊቱ", 6)), (23, ("ከምሽቱ", 5))],
)
def test_clock_converter(hour: int, expected: tuple[str, int]) -> None:
    assert to_ethiopian_hour(hour) == expected


def test_lexicon_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("# mine\nCOVID\tኮቪድ\n\nጂቡቲ\tጅቡቲ\n", encoding="utf-8")
    assert read_lexicon(path) == {"COVID": "ኮቪድ", "ጂቡቲ": "ጅቡቲ"}


@pytest.mark.parametrize("line", ["አንድ", "አንድ\t", "ሁለት ቃል\tx", "ሀ\tለ\tሐ", "COVID\tሌላ"])
def test_lexicon_faults_name_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(f"COVID\tኮቪድ\n{line}\n", encoding="utf-8")
    with pytest.raises(AmttsError, match=r"mine\.tsv:2"):
        read_lexicon(path)


def test_the_text_front_end_needs_no_torch() -> None:
    code = (
        "import sys; from amtts_core.text.normalizer import Normalizer; Normalizer()('5 ሰዎች'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
