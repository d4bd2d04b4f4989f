"""Codes of recordings of any length: the same in a batch as alone, none lost where windows meet."""

from __future__ import annotations

import pytest
import torch
from tiny_s3 import tiny_weights

from amtts_chatterbox.front_ends import s3_log_mel
from amtts_chatterbox.s3.front_ends import BLOCK, long_log_mel
from amtts_chatterbox.s3.tokenizer import CUT, STEP, WINDOW, S3Tokenizer, tokenize, window_starts
from amtts_chatterbox.s3.weights import network_of


@pytest.fixture(scope="module")
def tokenizer() -> S3Tokenizer:
    return network_of(tiny_weights()).tokenizer


@pytest.mark.parametrize(
    "frames", [1, 7, 2999, 3000, 3001, 5200, 5201, 5400, 5599, 5600, 5601, 7999, 8001, 30_000]
)
def test_windows_cover_every_frame_once(frames: int) -> None:
    starts = window_starts(frames)
    assert starts == [STEP * n for n in range(len(starts))]
    assert starts[-1] + WINDOW >= frames
    assert len(starts) == 1 or starts[-2] + WINDOW < frames  # else the last one is one too many
    kept = 0
    for number, start in enumerate(starts):
        codes = -(-(min(frames, start + WINDOW) - start) // 4)
        kept += codes - CUT * (number > 0) - CUT * (number < len(starts) - 1)
    assert kept == -(-frames // 4)


@pytest.mark.parametrize("frames", [5300, 5590, 7900])
def test_a_last_window_shorter_than_the_overlap_loses_nothing(tokenizer: S3Tokenizer, frames: int) -> None:
    mel = torch.randn(128, frames, generator=torch.Generator().manual_seed(frames)) * 0.4
    (codes,) = tokenize(tokenizer, [mel])
    assert len(codes) == -(-frames // 4)


def test_a_batch_has_the_codes_of_its_items(tokenizer: S3Tokenizer) -> None:
    generator = torch.Generator().manual_seed(1)
    mels = [torch.randn(128, n, generator=generator) * 0.4 for n in (3, 40, 123, 3300, 77, 1)]
    together, alone = tokenize(tokenizer, mels, together=4), [tokenize(tokenizer, [mel])[0] for mel in mels]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one, other)


def test_a_long_log_mel_is_that_of_the_whole() -> None:
    wave = torch.randn(160 * (BLOCK + 700) + 93, generator=torch.Generator().manual_seed(2)) * 0.1
    wave[1000:60_000] *= 1e-4
    assert torch.allclose(long_log_mel(wave), s3_log_mel(wave[None])[0], atol=1e-5)


@pytest.mark.slow
def test_forty_minutes_are_tokenized_in_bounded_memory(tokenizer: S3Tokenizer) -> None:
    import resource

    wave = torch.randn(40 * 60 * 16000, generator=torch.Generator().manual_seed(3)) * 0.1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (codes,) = tokenize(tokenizer, [long_log_mel(wave)])
    assert len(codes) == 40 * 60 * 25
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 700, f"{grown:.0f} MB for 150 MB of samples"
