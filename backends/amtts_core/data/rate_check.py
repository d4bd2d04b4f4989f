"""Tells where a corpus is stored at a lower rate than a voice speaks at: it can be resampled, not made brighter."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from amtts_core.corpus.manifest import Utterance
from amtts_core.units import Hertz

logger = logging.getLogger(__name__)


def tell_lower_rates(manifest: Path, utterances: Iterable[Utterance], rate: Hertz, *, who: str) -> None:
    """Warns in one line of utterances whose audio is stored below `rate`; nothing for a manifest without rates.

    Args:
        manifest: where they are from.
        utterances: some of its lines.
        rate: that training needs, Hz.
        who: what needs that rate, for the message.
    """
    below = Counter(u.sample_rate for u in utterances if u.sample_rate and u.sample_rate < rate)
    if below:
        highest = max(rate for rate in below if rate)
        logger.warning(
            "%d utterances of %s are stored at %d Hz or less and %s needs %d Hz: they are resampled and hold nothing "
            "above %d Hz. From better recordings: amtts prepare --sample-rate %d",
            below.total(),
            manifest,
            highest,
            who,
            rate,
            highest // 2,
            rate,
        )
