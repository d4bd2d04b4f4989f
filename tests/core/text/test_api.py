"""The public interface of `amtts_core.text`: what it offers, that its examples are true, and that it starts quickly."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module

import pytest

import amtts_core.text
from amtts_core.errors import AmttsError
from amtts_core.text import Normalizer, NormalizerSettings, normalize, phonemize, split_sentences

_IMPORT = """
import sys, time
begin = time.process_time()
from amtts_core.text import Normalizer, normalize, phonemize, split_sentences
print(time.process_time() - begin)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_it_is_imported_in_a_moment_and_without_torch() -> None:
    seconds, modules = [], ""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)
        first, modules = done.stdout.splitlines()
        seconds.append(float(first))
    assert min(seconds) < 0.4  # 0.16 on the machine it was measured on; others are slower or busy
    assert not {"torch", "numpy", "soundfile", "amtts_cli"} & set(modules.split())


@pytest.mark.parametrize("module", ["", ".api", ".normalizer", ".sentences"])
def test_the_examples_are_true(module: str) -> None:
    result = doctest.testmod(import_module(f"amtts_core.text{module}"))
    assert result.attempted
    assert not result.failed


def test_every_public_name_is_there() -> None:
    assert set(amtts_core.text.__all__) <= set(dir(amtts_core.text))
    assert all(getattr(amtts_core.text, name) is not None for name in amtts_core.text.__all__)
    with pytest.raises(AttributeError, match="no attribute 'normalise'"):
        amtts_core.text.normalise  # noqa: B018


def test_functions_do_what_a_normalizer_does() -> None:
    text = "ዶ/ር አበበ #ሰላም 5፡30 መጣ"
    assert normalize(text) == Normalizer()(text)
    assert normalize(text, hashtags="drop") == Normalizer(NormalizerSettings(hashtags="drop"))(text)
    assert normalize("Zork መጣ", lexicon={"Zork": "ዞሩክ"}) == "ዞሩክ መጣ"
    assert normalize("Zork መጣ", lexicon={"Zork": "ዞርኪ"}) == "ዞርኪ መጣ"
    assert normalize("5", language="ti") == Normalizer(NormalizerSettings(language="ti"))("5")


def test_phonemes_carry_length_by_list_rule_mark_and_lexicon() -> None:
    assert phonemize("ልጅነት") == "lɨd͡ʒɨnːət"
    assert phonemize("ገና፟ ገና") == "ɡənːa ɡəna"
    assert phonemize("ገና", lexicon={"ገና": "ገና፟"}) == "ɡənːa"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: normalize("5", language="amh"), "'amh'"),
        (lambda: normalize("5", hashtag="drop"), "'hashtag' is no setting of the normalizer"),
        (lambda: normalize("5", hashtags="perhaps"), "hashtags=perhaps"),
        (lambda: phonemize("5", language="ti"), "no pronunciation"),
        (lambda: split_sentences("5", language="xx"), "'xx'"),
    ],
)
def test_what_is_not_known_is_one_line(call, told: str) -> None:
    with pytest.raises(AmttsError) as fault:
        call()
    assert told in str(fault.value)
    assert "\n" not in str(fault.value)


def test_marks_of_length_can_be_written_as_one_symbol() -> None:
    marking = Normalizer(NormalizerSettings(mark_gemination=True))
    assert marking("ልጅነት ገና፟ 2") == "ልጅነ፟ት ገና፟ ሁለት፟"
    assert marking(marking("ልጅነት ገና፟")) == marking("ልጅነት ገና፟")
    assert not marking.leftovers(marking("ልጅነት"))
    assert Normalizer()("ልጅነ፟ት") == "ልጅነት"
