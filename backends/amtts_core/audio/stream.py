"""The sound of a recording of any length, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from amtts_core.audio.decoded import AudioError, require_regular_file
from amtts_core.audio.media import media_blocks
from amtts_core.audio.mixdown import mix_block
from amtts_core.audio.sound import ForeignSound, opened
from amtts_core.units import Hertz


@contextmanager
def sound_blocks(
    path: Path, *, channel: int | None = None, track: int | None = None
) -> Iterator[tuple[Hertz, Iterator[np.ndarray]]]:
    """The rate of any audio or video file, and its sound from start to end as mono blocks, (T,) float32.

    Args:
        path: of the file.
        channel: number of the channel that is taken, from 0; None takes the mean of all.
        track: number of the sound track of a video, from 0; None takes the first.

    Raises:
        AudioError: not decodable; also while the blocks are read.
    """
    require_regular_file(path)
    with ExitStack() as stack:
        try:
            sound = stack.enter_context(opened(path))
        except ForeignSound:
            yield stack.enter_context(media_blocks(path, channel=channel, track=track))
            return
        except OSError as error:
            raise AudioError(f"cannot be opened: {error.strerror}") from None
        yield sound.rate, (mix_block(block, channel) for block in sound.read(0, None))
