"""What an operator decides about a server."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field

from amtts_core.errors import AmttsError
from amtts_core.settings import Settings
from amtts_core.units import Seconds

LOOPBACK = "127.0.0.1"
LONGEST_NAME = 64


class ServerSettings(Settings):
    """Voices, limits and times of a server."""

    voices: dict[str, str] = Field(description="name -> run, checkpoint folder, or org/name on the hub")
    device: str = Field("cpu", description="where networks compute")
    references: Path | None = Field(None, description="folder of recordings to speak like")
    host: str = Field(LOOPBACK, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    allowed_hosts: tuple[str, ...] = Field((), description="names of the server in a browser's address bar")
    origins: tuple[str, ...] = Field((), description="web pages that may call the server (CORS)")
    max_characters: int = Field(4096, ge=1, description="longest text of a request")
    max_body: int = Field(65_536, ge=1024, description="largest request body, bytes")
    body_timeout: Seconds = Field(10.0, gt=0, description="seconds in which headers and body have to arrive")
    write_timeout: Seconds = Field(30.0, gt=0, description="seconds a client may refuse to read")
    deadline: Seconds = Field(120.0, gt=0, description="seconds in which a request has to be answered")
    drain: Seconds = Field(30.0, ge=0, description="seconds given to running requests at the end")
    active: int = Field(8, ge=1, description="requests of a voice that are spoken in turns")
    waiting: int = Field(64, ge=0, description="requests of a voice that wait for a turn")
    per_key: int = Field(16, ge=1, description="requests of one key at a time")
    connections: int = Field(512, ge=8, description="open connections at a time")
    sockets: int = Field(32, ge=0, description="open websockets at a time")
    idle: Seconds = Field(900.0, gt=0, description="seconds after which an unused voice is unloaded")
    max_loaded: int = Field(4, ge=1, description="voices in memory at a time")
    together: int = Field(1, ge=1, description="sentences of several requests that share a pass at most")
    log_texts: bool = Field(False, description="write texts into the log")

    @property
    def default_voice(self) -> str:
        """The voice that was named first."""
        return next(iter(self.voices))


def parse_voices(given: list[str]) -> dict[str, str]:
    """`NAME=SOURCE` or `SOURCE` (named after its last part) to name -> source, in order.

    Raises:
        AmttsError: a name that is missing, doubled or not usable in a request.
    """
    found: dict[str, str] = {}
    for item in given:
        name, mark, source = item.partition("=")
        if not mark:
            name, source = Path(item).name or "voice", item
        if not source or not _usable(name):
            raise AmttsError(
                f"--voice {item}: expected NAME=FOLDER or NAME=org/name; a name has letters, digits, '.', '_' and '-'",
                remedy="Example: --voice selam=run",
            )
        if name in found:
            raise AmttsError(
                f"--voice {item}: a voice named '{name}' was given before",
                remedy="Name each voice differently",
            )
        found[name] = source
    if not found:
        raise AmttsError("there is no voice to serve", remedy="Name one: amtts serve --voice selam=run")
    return found


def parse_replicas(given: str) -> tuple[int, int]:
    """`2` or `1-4` to (fewest, most).

    Raises:
        AmttsError: anything else.
    """
    parts = given.split("-", 1)
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise AmttsError(f"--replicas {given}: expected a number, or the fewest and the most, such as 1-4")
    found = int(parts[0]), int(parts[-1])
    if not 1 <= found[0] <= found[1]:
        raise AmttsError(f"--replicas {given}: expected at least 1, and the fewest before the most")
    return found


def _usable(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and all(c.isalnum() or c in "._-" for c in name)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
