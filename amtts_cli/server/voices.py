"""The voices of a server: loaded when they are first asked for, unloaded when nobody does, loaded anew on SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import amtts
from amtts_cli.server.errors import ApiError, unavailable
from amtts_cli.server.gate import Gate
from amtts_cli.server.metrics import Metrics
from amtts_cli.server.settings import ServerSettings
from amtts_cli.server.worker import ModelWorker, SharedBackend
from amtts_core.errors import AmttsError, nearest

RECORDINGS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
_LOG = logging.getLogger("amtts.server")
Load = Callable[..., amtts.Voice]


@dataclass(eq=False)
class LoadedVoice:
    """A voice in memory.

    Attributes:
        voice: whose passes go through `worker`.
        jobs: threads of the requests that speak with it.
        users: requests that hold it.
        used: when the last of them ended, on the clock of `time.monotonic`.
        retired: closed as soon as nobody uses it.
    """

    name: str
    voice: amtts.Voice
    worker: ModelWorker
    jobs: ThreadPoolExecutor
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    retired: bool = False

    def close(self) -> None:
        """Ends its threads."""
        self.worker.close()
        self.jobs.shutdown(wait=False)


class VoicePool:
    """Finds and keeps voices; of one event loop.

    Args:
        settings: names, sources and limits.
        metrics: takes what is loaded.
        load: opens a voice.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics, *, load: Load = amtts.load) -> None:
        self._settings, self._metrics, self._load = settings, metrics, load
        self._loaded: dict[str, LoadedVoice] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._gates: dict[str, Gate] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load-voice")
        self._recordings = find_recordings(settings.references)

    @property
    def names(self) -> list[str]:
        """Every voice that can be asked for: NAME, and NAME+RECORDING for each recording to speak like."""
        own = list(self._settings.voices)
        return own + [f"{name}+{recording}" for name in own for recording in self._recordings]

    def resolve(self, asked: str) -> tuple[str, str]:
        """(voice, speaker) of what a client names: VOICE or VOICE:SPEAKER.

        Raises:
            ApiError: there is no such voice.
        """
        name, _, speaker = asked.partition(":")
        if name in ("", "default"):
            name = self._settings.default_voice
        if name not in self.names:
            shown = ", ".join(self.names[:20])
            raise ApiError(
                404,
                f"voice {name[:64]!r} does not exist{nearest(name[:64], self.names)}; there are: {shown}",
                code="voice_not_found",
                param="voice",
            )
        return name, speaker

    def loaded(self, name: str) -> LoadedVoice | None:
        """The voice, where it is in memory."""
        return self._loaded.get(name)

    def gate(self, name: str) -> Gate:
        """The places of a voice."""
        if name not in self._gates:
            self._gates[name] = Gate(
                active=self._settings.active,
                waiting=self._settings.waiting,
                on_change=lambda active, waiting: self._show(name, active, waiting),
            )
        return self._gates[name]

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[LoadedVoice]:
        """A voice, loaded if need be; it stays in memory within the context.

        Raises:
            ApiError: 503 where it cannot be loaded.
        """
        found = await self._get(name)
        found.users += 1
        try:
            yield found
        finally:
            found.users -= 1
            found.used = time.monotonic()
            if found.retired and not found.users:
                found.close()

    async def _get(self, name: str) -> LoadedVoice:
        async with self._locks.setdefault(name, asyncio.Lock()):
            if (found := self._loaded.get(name)) is not None:
                return found
            self._make_room()
            return await self._open(name)

    async def _open(self, name: str) -> LoadedVoice:
        began = time.monotonic()
        try:
            voice = await asyncio.get_running_loop().run_in_executor(self._loader, self._load_one, name)
        except AmttsError as error:
            self._metrics.failures.labels("load").inc()
            _LOG.error("voice %s cannot be loaded: %s", name, error)
            raise unavailable(
                f"voice '{name}' cannot be loaded; the server's log says why", self._settings.deadline
            ) from None
        found = self._loaded[name] = self._share(name, voice)
        self._metrics.loaded.labels(name).set(1)
        _LOG.info("voice %s is loaded: %r, %.1f s", name, voice, time.monotonic() - began)
        return found

    def _load_one(self, name: str) -> amtts.Voice:
        own, _, recording = name.partition("+")
        like = self._recordings[recording] if recording else None
        return self._load(self._settings.voices[own], device=self._settings.device, voice=like)

    def _share(self, name: str, voice: amtts.Voice) -> LoadedVoice:
        """Lets every pass of the voice go through one thread."""
        synthesizer = voice.synthesizer
        sentences, requests = self._metrics.sentences.labels(name), self._metrics.sharing.labels(name)

        def count_pass(count: int, of_requests: int) -> None:
            sentences.observe(count)
            requests.observe(of_requests)

        worker = ModelWorker(
            f"speak-{name}", synthesizer.backend, together=self._settings.together, on_pass=count_pass
        )
        synthesizer.backend = cast(Any, SharedBackend(synthesizer.backend, worker))
        jobs = ThreadPoolExecutor(self._settings.active + 1, thread_name_prefix=f"job-{name}")
        return LoadedVoice(name, voice, worker, jobs)

    def _make_room(self) -> None:
        """Unloads the voice that was not used for longest where no more fit.

        Raises:
            ApiError: all are in use.
        """
        if len(self._loaded) < self._settings.max_loaded:
            return
        idle = [found for found in self._loaded.values() if not found.users]
        if not idle:
            raise unavailable(f"{len(self._loaded)} voices are in use; no more fit into memory", 5.0)
        self._retire(min(idle, key=lambda found: found.used))

    def unload_idle(self) -> None:
        """Unloads what was not used for the time that the settings give."""
        for found in list(self._loaded.values()):
            if not found.users and time.monotonic() - found.used > self._settings.idle:
                self._retire(found)

    async def reload(self) -> None:
        """Reads the folder of recordings again and loads what is in memory anew; requests under way go on with theirs.

        A voice that can no longer be loaded stays as it is.
        """
        self._recordings = find_recordings(self._settings.references)
        for name, old in list(self._loaded.items()):
            async with self._locks.setdefault(name, asyncio.Lock()):
                if self._loaded.get(name) is not old:
                    continue
                if name not in self.names:
                    self._retire(old)
                    continue
                try:
                    await self._open(name)
                except ApiError:
                    continue  # the log says why; the old one goes on
                self._close_when_free(old)

    def close(self) -> None:
        """Unloads everything."""
        for found in list(self._loaded.values()):
            self._retire(found)
        self._loader.shutdown(wait=False)

    def _retire(self, found: LoadedVoice) -> None:
        del self._loaded[found.name]
        self._metrics.loaded.labels(found.name).set(0)
        _LOG.info("voice %s is unloaded", found.name)
        self._close_when_free(found)

    def _close_when_free(self, found: LoadedVoice) -> None:
        found.retired = True
        if not found.users:
            found.close()

    def _show(self, name: str, active: int, waiting: int) -> None:
        self._metrics.active.labels(name).set(active)
        self._metrics.waiting.labels(name).set(waiting)


def find_recordings(folder: Path | None) -> dict[str, Path]:
    """Recordings to speak like, by name; only files that lie in the folder itself.

    Raises:
        AmttsError: there is no such folder.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise AmttsError(f"--references {folder}: there is no such folder")
    files = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in RECORDINGS)
    return {path.stem: path for path in files if path.is_file() and not path.is_symlink()}
