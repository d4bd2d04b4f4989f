"""Names and passwords of a studio that other machines reach: HTTP's basic authentication, before anything is served."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

from amtts_core.errors import AmttsError

VARIABLE = "AMTTS_STUDIO_LOGIN"
SHORTEST = 12


class Login:
    """Who may use a studio.

    Args:
        passwords: by name; empty lets anyone in.
    """

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._digests = {_digest(f"{name}:{password}".encode()) for name, password in passwords.items()}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admits(self, authorization: str) -> bool:
        """Whether an `Authorization: Basic ...` header holds a name and its password; every one is compared."""
        if not self._digests:
            return True
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = _digest(base64.b64decode(encoded.strip(), validate=True))
        except (binascii.Error, ValueError):
            return False
        found = False
        for known in self._digests:
            found = hmac.compare_digest(given, known) or found
        return found and scheme.lower() == "basic"


def read_login(path: Path | None, environment: Mapping[str, str]) -> Login:
    """Names and passwords of a file (`name:password` lines) and of the variable AMTTS_STUDIO_LOGIN.

    Raises:
        AmttsError: the file cannot be read or holds none, a password is short, a name is doubled.
    """
    found: dict[str, str] = {}
    if path is not None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise AmttsError(f"--auth-file {path}: {why}") from None
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                _add(found, line, f"--auth-file {path}, line {number}")
        if not found:
            raise AmttsError(
                f"--auth-file {path} holds no login", remedy="Write lines such as  selam:<a long password>"
            )
    if line := environment.get(VARIABLE, ""):
        _add(found, line, VARIABLE)
    return Login(found)


def _add(found: dict[str, str], line: str, where: str) -> None:
    name, mark, password = line.strip().partition(":")
    if not mark or not name:
        raise AmttsError(f"{where}: expected name:password")
    if len(password) < SHORTEST:
        raise AmttsError(
            f"{where}: the password of '{name}' has {len(password)} characters; expected at least {SHORTEST}",
            remedy='Make one: python -c "import secrets; print(secrets.token_urlsafe(12))"',
        )
    if name in found:
        raise AmttsError(f"{where}: the name '{name}' is there twice")
    found[name] = password


def _digest(login: bytes) -> bytes:
    return hashlib.sha256(login).digest()
