"""Checks an extended vocabulary before it is put in place: everything is read back and compared with what was there.

Existing embeddings have to be bit-identical, existing text has to keep its ids and, where the backend has a probe, its
network outputs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from amtts_core.contract.published import PublishedFormat
from amtts_core.contract.tokenizer_format import ExtendedTokenizer
from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.compare import Comparison, check_tables, compare_network
from amtts_core.finetune.vocab.config_files import read_config
from amtts_core.finetune.vocab.old_text import encode_both, sample_texts
from amtts_core.finetune.vocab.plan import TokenPlan
from amtts_core.finetune.vocab.published import num_text_tokens
from amtts_core.finetune.vocab.weights_file import WeightsFile, read_back
from amtts_core.tokenizers.factory import load_tokenizer

_PROBED = 24  # texts that go through both networks


def verify_written(
    written: Path,
    weights: WeightsFile,
    published: PublishedFormat,
    extended: ExtendedTokenizer,
    plan: TokenPlan,
    *,
    configs: Sequence[Path],
    old_text: Path | None,
    seed: int,
) -> Comparison:
    """Reads back what was written and compares it with the weights before.

    Args:
        written: new weights; tokenizer and config are in the same folder.
        weights: before.
        published: the backend's.
        extended: tokenizer before and after.
        plan: old and new ids.
        configs: config files before.
        old_text: file of texts in other languages, a line each; None for the built-in ones only.
        seed: of the random texts.

    Raises:
        AmttsError: something differs that must not.
    """
    folder = written.parent
    names = [text.tensor for text in published.text_tensors]
    again = read_back(written, weights.tensors, names)
    _check_sizes(written, num_text_tokens(again, published), extended, published, plan)
    pairs = encode_both(
        _texts(extended, plan, old_text, seed),
        (extended.encode_old, extended.encode_new),
        _moved(extended, plan),
    )
    check_tables(weights.tensors, again, plan, names)
    if published.probe is None:
        why = f"backend '{published.name}' declares no probe"
        return Comparison(through="tables", why=why, sequences=len(pairs), max_abs_diff=0.0)
    chosen = _probed(pairs, plan, seed)
    config = (read_config(configs), read_config([folder / path.name for path in configs]))
    difference = compare_network(published.probe, weights.tensors, again, config, plan, chosen)
    return Comparison(through="network", why="", sequences=len(chosen), max_abs_diff=difference)


def _check_sizes(
    written: Path, size: int, extended: ExtendedTokenizer, published: PublishedFormat, plan: TokenPlan
) -> None:
    if size != plan.new_size:
        raise AmttsError(f"{written.name} has {size} text tokens, expected {plan.new_size}")
    file = written.parent / next(iter(extended.files))
    if published.text_format.read_vocabulary(file) != extended.new:
        raise AmttsError("the new tokenizer came back with other tokens than were written")
    stored = load_tokenizer(written.parent / "tokenizer")
    if stored.vocab_size != plan.new_size:
        raise AmttsError(f"the new tokenizer has {stored.vocab_size} tokens, the tables {plan.new_size} rows")


def _texts(extended: ExtendedTokenizer, plan: TokenPlan, old_text: Path | None, seed: int) -> list[str]:
    """Existing texts; those that hold an added symbol are left out: their ids have to change."""
    texts = sample_texts(extended.texts, seed=seed)
    if old_text is not None:
        texts += _lines(old_text)
    return [text for text in texts if not any(name in text for name in plan.new)]


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as fault:
        raise AmttsError(f"--old-text {path} cannot be read ({fault})") from None


def _moved(extended: ExtendedTokenizer, plan: TokenPlan) -> dict[int, int]:
    """Old id -> new id, where they differ."""
    copied = {extended.old[name]: extended.new[name] for name in extended.same_as.values()}
    return dict(plan.moved.values()) | copied


def _probed(
    pairs: list[tuple[list[int], list[int]]], plan: TokenPlan, seed: int
) -> list[tuple[list[int], list[int]]]:
    """Texts for the networks: some real ones, then random ids, which cover the whole vocabulary."""
    source = random.Random(seed)
    target = {origin: number for number, origin in enumerate(plan.sources) if origin >= 0}
    usable = [pair for pair in pairs if len(pair[0]) >= 2]
    chosen = source.sample(usable, min(len(usable), _PROBED // 2))
    ids = sorted(target)
    while len(chosen) < _PROBED:
        drawn = source.choices(ids, k=source.randint(2, 12))
        chosen.append((drawn, [target[number] for number in drawn]))
    return chosen
