"""From several channels to one: their mean, or one of them; never a mean in which the voice cancels itself."""

from __future__ import annotations

import numpy as np

from amtts_core.audio.decoded import AudioError

_CANCELS = 0.01  # of the energy; where the mean keeps no more, the sides are in opposite phase
_UNLIKE = 0.2  # correlation of the sides of two recordings that have nothing to do with each other
_QUIETER = 0.03  # of the energy; a side that is quieter holds little but the other one's noise


class Mixdown:
    """Mixes blocks of a recording to one channel.

    Args:
        channel: number of the one that is taken, from 0; None takes the mean. A single channel is taken anyway.
    """

    def __init__(self, channel: int | None = None) -> None:
        self._channel = channel
        self._mean: list[np.ndarray] = []
        self._side: list[np.ndarray] = []
        self._left = self._right = self._product = 0.0

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples, (T, channels)."""
        channels = block.shape[1]
        if self._channel is not None:
            if self._channel >= channels > 1:
                raise AudioError(f"has {channels} channels, but channel {self._channel + 1} is asked for")
            self._mean.append(np.ascontiguousarray(block[:, min(self._channel, channels - 1)]))
        elif channels == 1:
            self._mean.append(block[:, 0])
        else:
            self._mean.append(block.mean(axis=1))
            if channels == 2:
                self._compare(block[:, 0], block[:, 1])

    def _compare(self, left: np.ndarray, right: np.ndarray) -> None:
        self._side.append((left - right) / 2)
        with np.errstate(all="ignore"):  # floating-point samples may be huge, or no numbers
            self._left += float(np.dot(left, left))
            self._right += float(np.dot(right, right))
            self._product += float(np.dot(left, right))

    @property
    def cancels(self) -> bool:
        """True where both sides hold the same sound in opposite phase."""
        both = self._left + self._right
        return bool(self._side) and both > 0 and (both + 2 * self._product) / 2 < _CANCELS * both

    @property
    def sides_differ(self) -> bool:
        """True where each side holds sound of its own, as with a person on each."""
        if not self._side or min(self._left, self._right) <= _QUIETER * max(self._left, self._right):
            return False
        return abs(self._product) < _UNLIKE * float(np.sqrt(self._left * self._right))

    def result(self) -> np.ndarray:
        """All samples, (T,) float32."""
        blocks = self._side if self.cancels else self._mean
        if not blocks:
            return np.zeros(0, np.float32)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def mix_block(block: np.ndarray, channel: int | None = None) -> np.ndarray:
    """One block of a stream to one channel, (T, channels) to (T,)."""
    mixdown = Mixdown(channel)
    mixdown.add(block)
    return mixdown.result()
