"""Error counts against an edit distance written here, and what each figure is meant to see."""

import random
from collections import Counter

import pytest

from amtts_core.evaluation.text_errors import (
    LETTERS,
    consonant_confusions,
    ejective_confusions,
    letter_edits,
    text_errors,
)


def edit_distance(first, second):
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


@pytest.mark.parametrize("seed", range(30))
def test_counts_are_those_of_an_independent_edit_distance(seed):
    chance = random.Random(seed)
    words = ["ሰላም", "ለዓለም", "እንዴት", "ነህ", "ጠዋት", "ቤት"]
    reference = " ".join(chance.choices(words, k=6))
    hypothesis = " ".join(w for w in chance.choices(words, k=7) if chance.random() < 0.8)
    found = text_errors(reference, hypothesis)
    letters = [LETTERS(text) for text in (reference, hypothesis)]
    assert found.cer.errors == edit_distance(*letters)
    assert found.cer.length == len(letters[0])
    fold = str.maketrans("ዓ", "አ")
    assert found.wer.errors == edit_distance(
        reference.translate(fold).split(), hypothesis.translate(fold).split()
    )
    assert found.wer.length == 6


def test_homophones_are_no_error_unless_asked():
    found = text_errors("ፀሐይ ሠራ", "ጸሀይ ሰራ")
    assert found.cer.errors == 0
    assert found.cer_as_written.errors == 3
    assert found.words_wrong == 0


def test_spaces_and_punctuation_count_only_where_they_are_kept():
    found = text_errors("ሰላም፣ እንዴት ነህ?", "ሰላምእንዴት ነህ")
    assert found.cer.errors == 0
    assert found.cer_with_spaces.errors == 1
    assert found.cer_strict.errors == 3  # ፣, a space and ?
    assert found.words_wrong == 0
    assert found.wer.errors == 2


def test_gemination_marks_are_no_letters():
    assert text_errors("አለ\u135f", "አለ").cer_strict.errors == 0


def test_run_on_early_stop_and_skipped_words():
    text = "እናቴ ዛሬ ጠዋት ገበያ ሄደች"
    assert text_errors(text, text + " በለበለበለ").run_on == 6
    assert text_errors(text, "እናቴ ዛሬ ጠዋት ገበያ").early_stop == 3
    skipped = text_errors(text, "እናቴ ዛሬ ገበያ ሄደች")
    assert (skipped.early_stop, skipped.longest_gap, skipped.wrong) == (0, 3, (2,))
    silent = text_errors(text, "")
    assert silent.cer.deletions == silent.cer.length == silent.early_stop
    assert silent.first_word_wrong


def test_a_word_is_wrong_by_its_letters_not_by_its_spaces():
    found = text_errors("ቤት ሰራ መጣ", "ቤትሰ ራመታ")
    assert found.wrong == (2,)
    assert (found.words, found.words_wrong) == (3, 1)


def test_confusions_by_letter_by_consonant_and_of_ejectives():
    found = text_errors("ጠዋት ቀን", "ተዋት ከን")
    assert found.confusions == Counter({("ጠ", "ተ"): 1, ("ቀ", "ከ"): 1})
    assert consonant_confusions(found.confusions) == Counter({("ጥ", "ት"): 1, ("ቅ", "ክ"): 1})
    assert ejective_confusions(found.confusions) == {"ejective as plain": 2, "plain as ejective": 0}
    vowels = text_errors("ጠዋት", "ጡዋት")
    assert not consonant_confusions(vowels.confusions)


def test_edits_cover_both_texts():
    ref, hyp = "ሰላምለአለም", "ሰለምለአም"
    edits = letter_edits(ref, hyp)
    assert "".join(ref[e.ref_start : e.ref_end] for e in edits) == ref
    assert "".join(hyp[e.hyp_start : e.hyp_end] for e in edits) == hyp


def test_a_text_without_letters_is_a_bug():
    with pytest.raises(ValueError, match="no letter"):
        text_errors("።", "ሰላም")
