"""What a user wants added to a vocabulary: a word for a known set, a tokenizer, a list in a file, or characters."""

from __future__ import annotations

import re
from pathlib import Path

from amtts_core.contract.tokenizer_format import Addition
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import VOWELS, ethiopic_alphabet
from amtts_core.tokenizers.published.mapping import load_vocab_mapping
from amtts_core.tokenizers.published.symbols import SPACE_MARK, cv_symbols, fidel_symbols, is_ethiopic
from amtts_core.tokenizers.settings import SPECIALS


def read_addition(source: str) -> Addition:
    """What `--add` means.

    Args:
        source: `fidel` (every letter one symbol), `cv` (consonant and vowel symbols), `uroman` (nothing but what the
            published romanization lacks), a tokenizer of any known kind, a .txt file with a symbol a line, or symbols
            separated by spaces or commas (Ethiopic characters may follow each other directly).

    Raises:
        AmttsError: it names nothing, a file that is missing, or one that holds no symbol.
    """
    if source == "fidel":
        return Addition(source=source, symbols=fidel_symbols())
    if source == "cv":
        return Addition(source=source, symbols=cv_symbols(), letters="cv")
    if source == "uroman":
        return Addition(source=source, symbols=())
    if not source.strip():
        return _checked(source, [])  # an empty path would be the folder that one stands in
    path = Path(source)
    if path.suffix == ".txt" and path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as fault:
            raise AmttsError(f"--add {path} cannot be read ({fault})", remedy="Give it as UTF-8") from None
        return _checked(source, [line.strip() for line in lines])
    if _exists(path):
        return _from_tokenizer(path)
    if "/" in source or path.suffix in {".json", ".model", ".txt"}:
        raise AmttsError(
            f"--add {source}: there is no such file or folder",
            remedy="Give a tokenizer, a .txt file with a symbol a line, the symbols themselves, fidel or cv",
        )
    parts = re.split(r"[\s,]+", source)
    if len(parts) == 1 and all(map(is_ethiopic, source)):
        parts = list(source)
    return _checked(source, parts)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long list of symbols is too long for a file name
        return False


def _checked(source: str, parts: list[str]) -> Addition:
    symbols = tuple(dict.fromkeys(part for part in parts if part))
    if not symbols:
        raise AmttsError(f"--add {source!r} holds no symbol", remedy="Give at least one, or fidel, or cv")
    return Addition(source=source, symbols=symbols)


def _from_tokenizer(path: Path) -> Addition:
    ids = load_vocab_mapping(path)
    bare_names = (_bare(name) for name, _ in sorted(ids.items(), key=lambda item: item[1]))
    names = [name for name in bare_names if not _is_technical(name)]
    symbols = [name for name in names if name in VOWELS or any(map(is_ethiopic, name))]
    foreign = tuple(name for name in names if name not in set(symbols))
    if set(names) >= set(VOWELS):
        return Addition(source=str(path), symbols=tuple(symbols), letters="cv", left_out=foreign)
    bare = {symbol.strip(SPACE_MARK) for symbol in symbols}
    missing = [sign for sign in ethiopic_alphabet() if sign not in bare]
    return Addition(source=str(path), symbols=(*symbols, *missing), completed=len(missing), left_out=foreign)


def _bare(name: str) -> str:
    """A vowel symbol without the brackets that it has in published formats."""
    return name[1:-1] if name[1:-1] in VOWELS else name


def _is_technical(name: str) -> bool:
    """True for specials, bytes and tags, which stand for no text."""
    return name in SPECIALS or re.fullmatch(r"<[^<>]*>|\[[^\[\]]+\]", name) is not None
