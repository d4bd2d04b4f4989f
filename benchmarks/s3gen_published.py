"""The original S3Gen behind a pipe: run by `bench_s3gen.py` with the interpreter of an environment that has
chatterbox-tts.

Reads one JSON object a line, `{"stage": NAME, "sizes": {...}}`, does that stage once and answers with the processor
seconds it took. It imports nothing of amtts. How to make such an environment without CUDA: docs/benchmarks.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def stages(model: Any) -> dict[str, Callable[..., Any]]:
    """Stage -> what does it once; tensors that are no part of the work are made outside of it."""
    estimator, flow = model.flow.decoder.estimator, model.flow

    def made(kind: str, *shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(len(kind))) * scale

    def reference(seconds: int) -> dict[str, Any]:
        return model.embed_ref(made("wave", 1, 24000 * seconds, scale=0.1), 24000)

    kept: dict[int, dict[str, Any]] = {}

    def voice(seconds: int) -> dict[str, Any]:
        if seconds not in kept:
            kept[seconds] = reference(seconds)
        return dict(kept[seconds])  # the original changes the dictionary it is given

    def codes(count: int) -> torch.Tensor:
        return torch.arange(count)[None] * 37 % 6561

    def tokenizer(frames: int) -> Callable[[], Any]:
        mel = made("mel", 1, 128, frames)
        return lambda: model.tokenizer.quantize(mel, torch.tensor([frames]))

    def speaker(frames: int) -> Callable[[], Any]:
        banks = made("fbank", 1, frames, 80)
        return lambda: model.speaker_encoder(banks)

    def encoder(codes: int) -> Callable[[], Any]:
        hidden = made("hidden", 1, codes, 512)
        return lambda: flow.encoder(hidden, torch.tensor([codes]))

    def velocity(frames: int) -> Callable[[], Any]:
        x, mu, cond = (made(name, 2, 80, frames) for name in ("x", "mu", "cond"))
        mask, spks, t = torch.ones(2, 1, frames), made("spks", 2, 80), torch.tensor([0.3, 0.3])
        return lambda: estimator(x=x, mask=mask, mu=mu, t=t, spks=spks, cond=cond)

    def pitch(frames: int) -> Callable[[], Any]:
        mel = made("mel", 1, 80, frames)
        return lambda: model.mel2wav.f0_predictor(mel)

    def vocoder(frames: int) -> Callable[[], Any]:
        mel, source = made("mel", 1, 80, frames), made("source", 1, 1, 480 * frames, scale=0.1)
        return lambda: model.mel2wav.decode(x=mel, s=source)

    def whole(seconds: int, codes_: int) -> Callable[[], Any]:
        return lambda: model.inference(codes(codes_), ref_dict=voice(seconds))

    def embed(seconds: int) -> Callable[[], Any]:
        wave = made("wave", 1, 24000 * seconds, scale=0.1)
        return lambda: model.embed_ref(wave, 24000)

    return {
        "tokenizer": tokenizer,
        "speaker encoder": speaker,
        "flow encoder": encoder,
        "estimator": velocity,
        "pitch": pitch,
        "vocoder": vocoder,
        "reference": embed,
        "whole": lambda seconds, codes: whole(seconds, codes),
    }


def main() -> None:
    """Loads the weights named on the command line and answers until the input ends."""
    from chatterbox.models.s3gen import S3Gen
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    weights = load_file(Path(sys.argv[1]))
    model = S3Gen(meanflow=any("time_embed_mixer" in name for name in weights))
    model.load_state_dict(weights)
    model.eval()
    known, ready = stages(model), dict[str, Callable[[], Any]]()
    answer = sys.stdout
    sys.stdout = sys.stderr  # the original prints
    print(json.dumps({"ready": True}), file=answer, flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            asked = json.loads(line)
            key = json.dumps(asked, sort_keys=True)
            if key not in ready:
                ready[key] = known[asked["stage"]](**asked["sizes"])
                ready[key]()
            began = time.thread_time()
            ready[key]()
            print(json.dumps({"seconds": time.thread_time() - began}), file=answer, flush=True)


if __name__ == "__main__":
    main()
