"""Real-time factor of synthesis on one thread: acoustic network alone, and with the Griffin-Lim vocoder."""

from __future__ import annotations

import statistics
import time

import torch
from support import SENTENCES, backend_of

from amtts_core.contract.types import SynthesisRequest

RUNS = 5
FRAMES_A_SYMBOL = 6.5
"""An untrained network speaks too fast; the duration bias is set to what a trained one has."""


def main() -> None:
    """Prints seconds of work per second of speech."""
    torch.set_num_threads(1)
    backend, _, tokenizer = backend_of("chatterbox-mel")
    backend.network.eval()
    with torch.no_grad():
        backend.network.log_duration.weight.zero_()
        backend.network.log_duration.bias.fill_(float(torch.tensor(FRAMES_A_SYMBOL).log()))
    requests = [SynthesisRequest(tokens=tokenizer.encode(text)) for text in SENTENCES]
    factors = []
    for _ in range(RUNS):
        began = time.perf_counter()
        waveforms = backend.synthesize(requests)
        seconds = sum(len(w) for w in waveforms) / backend.spec.sample_rate
        factors.append((time.perf_counter() - began) / seconds)
    print(
        f"chatterbox-mel base with Griffin-Lim: real-time factor {statistics.median(factors[1:]):.4f} "
        f"(worst {max(factors[1:]):.4f}), {seconds:.1f} s of speech a run, 1 thread"
    )


if __name__ == "__main__":
    main()
