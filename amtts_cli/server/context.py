"""What the routes of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from amtts_cli.server.keys import ANYONE, Keys
from amtts_cli.server.metrics import Metrics
from amtts_cli.server.settings import ServerSettings
from amtts_cli.server.speaking import Speaking
from amtts_cli.server.voices import VoicePool


@dataclass
class Context:
    """One server.

    Attributes:
        ready: whether a voice has spoken.
        problem: why none has.
    """

    settings: ServerSettings
    keys: Keys
    metrics: Metrics
    pool: VoicePool
    speaking: Speaking
    ready: bool = False
    problem: str = "no voice has spoken yet"
    sockets: int = field(default=0)


def context_of(connection: HTTPConnection) -> Context:
    """The server of a request."""
    found: Context = connection.app.state.context
    return found


def key_name_of(connection: HTTPConnection) -> str:
    """Name of the key that a request came with."""
    return str(connection.scope.get("amtts.key_name", ANYONE))


def note(connection: HTTPConnection, **facts: object) -> None:
    """Adds facts to the log line of a request."""
    connection.scope.setdefault("amtts.notes", {}).update(facts)
