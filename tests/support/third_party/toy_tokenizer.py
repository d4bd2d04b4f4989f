"""A tokenizer of someone else: a text file with one character per line, line 0 for everything that is unknown."""

import hashlib

from amtts_core.contract.tokenizer_format import ExtendedTokenizer, TokenizerFormat
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.settings import write_settings

HEAD = "<toy>"


class ToyTokenizer:
    """Line number = token id; texts are lower-cased."""

    kind = "toy-lines"
    pad_id = unk_id = bos_id = eos_id = 0

    def __init__(self, lines):
        self.lines = list(lines)
        self.ids = {symbol: number for number, symbol in enumerate(self.lines)}

    @property
    def vocab_size(self):
        return len(self.lines)

    def encode(self, text):
        return [self.ids.get(sign, 0) for sign in text.lower()]

    def decode(self, ids):
        return "".join(self.lines[number] for number in ids if number)

    def symbols(self):
        return list(self.lines)

    def save(self, folder):
        write_settings(folder, self.kind, {"lines": self.lines})

    def fingerprint(self):
        return hashlib.sha256("\n".join([self.kind, *self.lines]).encode()).hexdigest()


def load(folder, settings):
    """A stored tokenizer."""
    return ToyTokenizer(settings["lines"])


def train(kind, texts, *, vocab_size=None, byte_fallback=False, seed=0):
    """Every character of the texts."""
    return ToyTokenizer([HEAD, *sorted({sign for text in texts for sign in text.lower()})])


def add_symbols(tokenizer, addition):
    """New characters behind the last line."""
    left_out = {name: "it is longer than a character" for name in addition.symbols if len(name) > 1}
    wanted = [name for name in addition.symbols if name not in left_out and name not in tokenizer.ids]
    return ToyTokenizer([*tokenizer.lines, *dict.fromkeys(wanted)]), left_out


def open_file(path, *, language=""):
    """The published file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if len(set(lines)) != len(lines):
        raise AmttsError(f"tokenizer {path} is damaged: a line occurs twice")
    return ToyTokenizer(lines)


def extend_file(path, addition, *, reuse, pad_to, language):
    """The published file with more lines."""
    if language:
        raise AmttsError("the toy has no language tags")
    old = open_file(path)
    new, left_out = add_symbols(old, addition)
    return ExtendedTokenizer(
        old=old.ids,
        new=new.ids,
        same_as={},
        consonants=(),
        left_out=left_out,
        encode_old=old.encode,
        encode_new=new.encode,
        texts=tuple(old.lines[1:]),
        tokenizer=new,
        files={path.name: "\n".join(new.lines).encode()},
    )


FORMAT = TokenizerFormat(
    description="a list of lines",
    file_names=("symbols.txt",),
    recognizes=lambda path: path.read_bytes().startswith(HEAD.encode() + b"\n"),
    read_vocabulary=lambda path: open_file(path).ids,
    open=open_file,
    extend=extend_file,
    train=train,
)
