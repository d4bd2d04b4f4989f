"""SentencePiece tokenizers (unigram, bpe, char) that can write every Ethiopic letter, seen in training or not.

Letters are *required* characters, so they stay available singly and may still merge into longer pieces. Punctuation
is *user-defined*: a mark is always a token of its own and no piece crosses it, since a pause sounds alike after any
word. The text is taken as it is: no normalization, no space put in front.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.contract.tokenizer_format import Addition
from amtts_core.errors import AmttsError
from amtts_core.tokenizers import fidel_alphabet
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.settings import (
    BOS,
    EOS,
    MODEL_FILE,
    PAD,
    SPECIALS,
    UNK,
    damaged,
    read_model,
    write_model,
)

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

SMALLEST, LARGEST = 100, 20_000
"""Limits of `vocab_size`."""
PUNCTUATION = ("።", "፣", "፤", "፥", "፦", "፧", "፡", "፠", "፨", "!", "?", ".", ",", "-")
NATIVE_IDS: Mapping[str, Any] = {"pad_id": PAD, "unk_id": UNK, "bos_id": BOS, "eos_id": EOS}
"""Special ids of amtts' own models; -1 leaves a piece out."""
_DEFAULT_SIZE = {"unigram": 1_000, "bpe": 1_000, "char": LARGEST}
_SAMPLE = 500_000  # texts learned from at most; bounds memory at about 1 GB
_TWO_MARKS = (
    f"{PUNCTUATION[0]} {PUNCTUATION[0]}"  # without a space SentencePiece leaves required characters out
)
_LONGEST_TEXT = 1 << 20  # bytes; SentencePiece would silently skip longer ones


class SentencePieceTokenizer:
    """A SentencePiece model.

    Args:
        kind: "unigram", "bpe" or "char".
        model: the serialized model.

    Raises:
        ValueError: `model` is not a SentencePiece model.
    """

    pad_id, unk_id, bos_id, eos_id = PAD, UNK, BOS, EOS

    def __init__(self, kind: str, model: bytes) -> None:
        self._kind = kind
        self._model = model
        self._processor = _processor(model)

    @property
    def kind(self) -> str:
        """See `TextTokenizer`."""
        return self._kind

    @property
    def model(self) -> bytes:
        """The serialized model."""
        return self._model

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`."""
        return list(self._processor.encode(_valid(text)))

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`."""
        return str(self._processor.decode(list(ids)))

    def symbols(self) -> list[str]:
        """See `TextTokenizer`; a space is written ▁."""
        return [self._processor.id_to_piece(number) for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        write_model(folder, self.kind, self._model, {"vocab_size": self.vocab_size})

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        return hashlib.sha256(self.kind.encode() + b"\0" + self._model).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to worker processes as the serialized model."""
        return (SentencePieceTokenizer, (self._kind, self._model))


def _processor(model: bytes) -> SentencePieceProcessor:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_proto=model)
    except (RuntimeError, OSError, TypeError) as fault:
        raise ValueError(f"not a SentencePiece model ({fault})") from None


def _valid(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot write."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


class _Texts:
    """Feeds texts to SentencePiece, counts them, and keeps the fault that it would wrap in its own."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.count = 0
        self._spaces = False
        self.fault: Exception | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for text in self._texts:
                if text.strip():
                    self.count += 1
                    self._spaces = self._spaces or " " in text
                    yield _valid(text)
            if self.count and not self._spaces:
                yield _TWO_MARKS
        except Exception as fault:
            self.fault = fault
            raise


def train(
    kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> SentencePieceTokenizer:
    """A SentencePiece tokenizer learned from `texts`; the same texts and settings give the same bytes.

    Raises:
        AmttsError: no text, or a `vocab_size` that cannot be reached exactly; names one that can.
    """
    model = train_model(kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed)
    return SentencePieceTokenizer(kind, model)


def train_model(
    kind: str,
    texts: Iterable[str],
    *,
    vocab_size: int | None,
    byte_fallback: bool,
    seed: int,
    ids: Mapping[str, Any] = NATIVE_IDS,
    uncounted: int = 0,
) -> bytes:
    """The serialized model of `train`.

    Args:
        kind: "unigram", "bpe" or "char".
        texts: see `train`.
        vocab_size: see `train`.
        byte_fallback: see `train`.
        seed: see `train`.
        ids: special ids.
        uncounted: pieces that the caller takes out again and that `vocab_size` does not count.

    Raises:
        AmttsError: see `train`.
    """
    if vocab_size is not None and not SMALLEST <= vocab_size <= LARGEST:
        raise AmttsError(
            f"vocabulary size {vocab_size}: expected {SMALLEST} to {LARGEST}",
            remedy="Choose another --vocab-size, or leave it out",
        )
    feed = _Texts(texts)
    size = (vocab_size or _DEFAULT_SIZE[kind]) + uncounted
    try:
        model = _run_trainer(
            kind, feed, size, exact=vocab_size is not None, byte_fallback=byte_fallback, seed=seed, ids=ids
        )
    except RuntimeError as fault:
        if feed.fault is not None:
            raise feed.fault from None
        if not feed.count:
            raise AmttsError(f"no text to train a {kind} tokenizer on: every text is empty") from None
        raise _translated(kind, size, str(fault), uncounted) from fault
    processor = _processor(model)
    unknown = ids["unk_id"]
    lost = [letter for letter in ethiopic_alphabet() if unknown in processor.encode(letter)]
    if lost:
        raise RuntimeError(f"SentencePiece left {len(lost)} required letters out: {''.join(lost[:20])}")
    made = processor.get_piece_size() - uncounted
    if vocab_size is not None and vocab_size != made:
        raise AmttsError(
            f"vocabulary size {vocab_size}: a {kind} tokenizer of these texts has exactly {made} pieces",
            remedy="Leave --vocab-size out",
        )
    return model


def piece_scores(model: bytes) -> list[tuple[str, float]]:
    """Every piece of a model with its score, in the order of the ids."""
    processor = _processor(model)
    return [
        (processor.id_to_piece(number), processor.get_score(number))
        for number in range(processor.get_piece_size())
    ]


def fidel_model(vowels: Sequence[str], *, byte_fallback: bool, ids: Mapping[str, Any] = NATIVE_IDS) -> bytes:
    """A model of consonants, these vowel pieces and plain characters; nothing is learned.

    Args:
        vowels: pieces of their own wherever they occur.
        byte_fallback: adds 256 byte pieces.
        ids: special ids.
    """
    signs = [sign for sign in fidel_alphabet.PLAIN if sign != " "]
    text = f"{''.join((*fidel_alphabet.consonants(), *signs))} {signs[0]}"
    return _run_trainer(
        "char",
        [text],
        LARGEST,
        exact=False,
        byte_fallback=byte_fallback,
        seed=0,
        ids=ids,
        required="",
        own=vowels,
    )


def _run_trainer(
    kind: str,
    texts: Iterable[str],
    vocab_size: int,
    *,
    exact: bool,
    byte_fallback: bool,
    seed: int,
    ids: Mapping[str, Any],
    required: str | None = None,
    own: Sequence[str] = PUNCTUATION,
) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(seed)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type=kind,
        vocab_size=vocab_size,
        hard_vocab_limit=exact,
        use_all_vocab=kind == "char",
        character_coverage=1.0,
        required_chars=ethiopic_alphabet() if required is None else required,
        user_defined_symbols=list(own),
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        byte_fallback=byte_fallback,
        **ids,
        pad_piece=SPECIALS[PAD],
        unk_piece=SPECIALS[UNK],
        bos_piece=SPECIALS[BOS],
        eos_piece=SPECIALS[EOS],
        unk_surface="⁇",
        input_sentence_size=_SAMPLE,
        shuffle_input_sentence=True,
        max_sentence_length=_LONGEST_TEXT,
        num_threads=1,  # several threads sum in another order each time
        minloglevel=2,
    )
    return model.getvalue()


def _translated(kind: str, size: int, message: str, uncounted: int) -> AmttsError:
    """SentencePiece's complaint about the vocabulary size as one line with a size that works."""
    if found := re.search(r"too high .*?<= (\d+)", message, re.DOTALL):
        most = int(found[1]) - uncounted
        return AmttsError(
            f"vocabulary size {size - uncounted} is too large for these texts: "
            f"they support at most {most} {kind} pieces",
            remedy=f"Use --vocab-size {most}, or leave it out, or add text",
        )
    if found := re.search(r"required_chars\. \d+ vs (\d+)", message):
        least = int(found[1]) - uncounted
        return AmttsError(
            f"vocabulary size {size - uncounted} is too small: every Ethiopic letter, the punctuation and the "
            f"characters of these texts take {least}",
            remedy=f"Use --vocab-size {least} or more, or --kind fidel",
        )
    return AmttsError(f"SentencePiece cannot train a {kind} tokenizer of size {size - uncounted}: {message}")


def add_symbols(
    tokenizer: SentencePieceTokenizer, addition: Addition
) -> tuple[SentencePieceTokenizer, dict[str, str]]:
    """See `amtts_core.tokenizers.registry`."""
    from amtts_core.tokenizers.published.sentencepiece_surgery import append_pieces

    change = append_pieces(tokenizer.model, addition.symbols)
    return SentencePieceTokenizer(tokenizer.kind, change.model), change.left_out


def load(folder: Path, settings: dict[str, Any]) -> SentencePieceTokenizer:
    """The stored SentencePiece tokenizer."""
    model = read_model(folder, settings)
    try:
        return SentencePieceTokenizer(settings["kind"], model)
    except ValueError as fault:
        raise damaged(folder, f"{MODEL_FILE} is {fault}") from None
