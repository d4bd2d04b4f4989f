"""Voices that are loaded for the Speak tab: the last few, and anew when their checkpoint changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amtts.voice import Voice

_KEPT = 3
_Key = tuple[str, str, str, float]


class Voices:
    """Loads voices and keeps the last ones; one is loaded at a time."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[_Key, Voice] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, source: str, *, device: str, recording: str = "") -> Voice:
        """A voice.

        Args:
            source: run or checkpoint folder, or "base".
            device: where it computes.
            recording: sound file to speak like; empty for its own voice.

        Raises:
            AmttsError: there is none, it is damaged, or it cannot speak like a recording.
        """
        import amtts

        key = (source, device, recording, _changed(source))
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = amtts.load(source, device=device, voice=recording or None)
                while len(self._loaded) > _KEPT:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]


def _changed(source: str) -> float:
    """When the newest checkpoint of a run was written, so that a run under way is heard as it is now."""
    folder = Path(source)
    times = [path.stat().st_mtime for path in (folder, folder / "checkpoints") if path.exists()]
    return max(times, default=0.0)
