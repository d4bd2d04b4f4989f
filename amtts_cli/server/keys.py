"""API keys: read from a file or the environment, kept as digests, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

from amtts_core.errors import AmttsError

VARIABLE = "AMTTS_API_KEY"
SHORTEST = 16
ANYONE = "anonymous"


class Keys:
    """The keys of a server, by name.

    Args:
        keys: name -> key; empty lets anyone in.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = {name: _digest(key.encode()) for name, key in keys.items()}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def replace(self, other: Keys) -> None:
        """Takes the keys of `other`; a server that has keys keeps having some.

        Raises:
            AmttsError: there are none any more.
        """
        if self and not other:
            raise AmttsError("there is no key any more", remedy="The old ones stay valid until there is one")
        self._digests = other._digests

    def key_name(self, authorization: bytes) -> str | None:
        """Name of the key in an `Authorization: Bearer KEY` header, or None; every key is compared, always."""
        if not self:
            return ANYONE
        scheme, _, key = authorization.partition(b" ")
        given, found = _digest(key.strip()), None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found if scheme.lower() == b"bearer" else None


def read_keys(path: Path | None, environment: Mapping[str, str]) -> Keys:
    """Keys of a file (`name:key` lines) and of the variable AMTTS_API_KEY.

    Raises:
        AmttsError: the file cannot be read, holds no key, or a key is short or doubled.
    """
    found: dict[str, str] = {}
    if path is not None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise AmttsError(
                f"--keys {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
            ) from None
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                _add(found, *_split(line, f"{path}, line {number}"), f"{path}, line {number}")
        if not found:
            raise AmttsError(
                f"--keys {path} holds no key", remedy="Write lines such as  radio:<32 random letters>"
            )
    if key := environment.get(VARIABLE, "").strip():
        _add(found, "environment", key, VARIABLE)
    return Keys(found)


def _split(line: str, where: str) -> tuple[str, str]:
    name, mark, key = line.strip().partition(":")
    if not mark or not name.strip():
        raise AmttsError(f"{where}: expected name:key")
    return name.strip(), key.strip()


def _add(found: dict[str, str], name: str, key: str, where: str) -> None:
    if len(key) < SHORTEST or not key.isascii() or any(c.isspace() for c in key):
        raise AmttsError(
            f"{where}: a key needs at least {SHORTEST} ASCII characters without blanks",
            remedy='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    if name in found or key in found.values():
        raise AmttsError(f"{where}: the name '{name}' or its key is there twice")
    found[name] = key


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
