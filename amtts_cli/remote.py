"""Speaking through a running `amtts serve`, with the standard library alone."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from amtts_core.errors import AmttsError

KEY_VARIABLE = "AMTTS_API_KEY"
FORMATS = (".wav", ".flac", ".mp3", ".opus", ".aac")
_BLOCK = 1 << 14
_TIMEOUT = 300.0


@dataclass(frozen=True, kw_only=True)
class RemoteVoice:
    """A voice of a server.

    Attributes:
        url: of the server, such as http://127.0.0.1:8000.
        voice: its name there; empty takes the first.
        key: sent with every request, where it is not empty.
    """

    url: str
    voice: str = ""
    key: str = ""

    def save(self, text: str, path: Path, *, speaker: str = "", speed: float = 1.0, seed: int = 0) -> None:
        """Speaks a text into a file that is there as a whole or not at all.

        Raises:
            AmttsError: an ending that servers do not know, or the server does not answer or refuses.
        """
        form = path.suffix.lower()
        if form not in FORMATS:
            raise AmttsError(
                f"a server cannot write '{path.name}'; it knows: {' '.join(FORMATS)}",
                remedy="Choose another --out",
            )
        body = self._body(text, speaker, speed, seed, response_format=form[1:])
        with self._asked(body) as reply:
            _replace(path, reply.read())

    def stream(self, text: str, *, speaker: str = "", speed: float = 1.0, seed: int = 0) -> Iterator[bytes]:
        """A WAV file of unknown length, piece by piece.

        Raises:
            AmttsError: as `save`.
        """
        body = self._body(text, speaker, speed, seed, response_format="wav", stream_format="audio")
        with self._asked(body) as reply:
            while piece := reply.read1(_BLOCK):
                yield piece

    def _body(self, text: str, speaker: str, speed: float, seed: int, **more: str) -> dict[str, Any]:
        voice = self.voice or "default"
        named = f"{voice}:{speaker}" if speaker else voice
        return {"model": "amtts", "input": text, "voice": named, "speed": speed, "seed": seed, **more}

    @contextmanager
    def _asked(self, body: dict[str, Any]) -> Iterator[Any]:
        headers = {"content-type": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        url = self.url.rstrip("/") + "/v1/audio/speech"
        try:
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)
            with _OPENER.open(request, timeout=_TIMEOUT) as reply:
                yield reply
        except urllib.error.HTTPError as error:
            self._refuse(error)
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise AmttsError(
                f"server {self.url} does not answer: {why}", remedy="Start one: amtts serve --voice selam=run"
            ) from None

    def _refuse(self, error: urllib.error.HTTPError) -> NoReturn:
        try:
            message = str(json.loads(error.read(_BLOCK))["error"]["message"])
        except (ValueError, KeyError, TypeError):
            message = f"status {error.code}"
        remedy = {
            401: f"Set {KEY_VARIABLE}",
            429: f"Try again in {error.headers.get('retry-after', '1')} s",
            503: "Try again later",
        }.get(error.code, "")
        raise AmttsError(f"server {self.url}: {message}", remedy=remedy) from None


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise AmttsError(
            f"{path} cannot be written: {error.strerror}", remedy="Choose another --out"
        ) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the key elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def remote_voice(url: str, voice: str) -> RemoteVoice:
    """The voice of a server, with the key of the environment.

    Raises:
        AmttsError: the address is none.
    """
    if not url.startswith(("http://", "https://")):
        raise AmttsError(f"--server {url}: expected http://HOST:PORT or https://HOST")
    return RemoteVoice(url=url, voice=voice, key=os.environ.get(KEY_VARIABLE, "").strip())
