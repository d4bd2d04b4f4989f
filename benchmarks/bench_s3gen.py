"""Chatterbox's audio path on one thread: tokenizer, speaker encoder, S3Gen and vocoder, beside the original.

    python benchmarks/bench_s3gen.py [--stock STOCK/bin/python] [--rounds 3] [--stages estimator,vocoder]

Full sizes, random weights, 5 s of speech. `--stock` names an interpreter that has chatterbox-tts (see
docs/benchmarks.md): it loads the same weights from a file, and both do each stage in turns. Times are processor
seconds, medians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save_file

from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_chatterbox.s3.names import to_published
from amtts_chatterbox.s3.reference_voice import ReferenceVoice, embed_reference
from amtts_chatterbox.s3.speaking import S3Speech, Spoken
from amtts_chatterbox.s3.weights import S3Network, S3Sizes

SPEECH = 125
"""Codes of 5 s."""
STAGES: tuple[tuple[str, dict[str, int]], ...] = (
    ("tokenizer", {"frames": 1000}),
    ("speaker encoder", {"frames": 998}),
    ("reference", {"seconds": 10}),
    ("flow encoder", {"codes": 375}),
    ("flow encoder", {"codes": 200}),
    ("estimator", {"frames": 750}),
    ("estimator", {"frames": 400}),
    ("pitch", {"frames": 250}),
    ("vocoder", {"frames": 250}),
    ("whole", {"seconds": 3, "codes": SPEECH}),
    ("whole", {"seconds": 10, "codes": SPEECH}),
)


def made(*shape: int, scale: float = 1.0) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))) * scale


class Ours:
    """Stages of our own network, by the names and sizes of the original's."""

    def __init__(self, network: S3Network, *, bf16: bool) -> None:
        self.network = network
        self.speech = S3Speech(network, S3SpeakingConfig(bf16=bf16))
        self._voices: dict[int, ReferenceVoice] = {}

    def stage(self, name: str, sizes: dict[str, int]) -> Callable[[], Any]:
        """What does a stage once."""
        network, flow = self.network, self.network.flow
        frames, codes, seconds = (sizes.get(key, 0) for key in ("frames", "codes", "seconds"))
        if name == "tokenizer":
            mel = made(1, 128, frames)
            return lambda: network.tokenizer.codes(network.tokenizer(mel)[0])
        if name == "speaker encoder":
            banks = made(1, frames, 80)
            return lambda: network.speaker_encoder(banks)
        if name == "reference":
            wave = made(24000 * seconds, scale=0.1)
            return lambda: embed_reference(network, wave)
        if name == "flow encoder":
            hidden = made(1, codes, 512)
            return lambda: flow.encoder(hidden)
        if name == "estimator":
            flow.compute_in(torch.bfloat16 if self.speech.config.bf16 else torch.float32)
            estimator = flow.estimator if flow._low is None else flow._low[1]
            inputs, at = made(2, frames, 320), torch.tensor([0.3, 0.3])
            return lambda: estimator(inputs, estimator.embed_time(at, at))
        if name == "pitch":
            mel = made(1, 80, frames)
            return lambda: network.vocoder.pitch(mel)
        if name == "vocoder":
            mel, source = made(1, 80, frames), made(1, 480 * frames, scale=0.1)
            return lambda: self.speech.decode(mel, source)
        if seconds not in self._voices:
            self._voices[seconds] = embed_reference(network, made(24000 * seconds, scale=0.1))
        spoken = [Spoken(torch.arange(codes) * 37 % 6561, self._voices[seconds])]
        return lambda: self.speech.speak(spoken)

    def bf16_error(self) -> float:
        """Root mean square of the log-mel's difference, bf16 against float32; 3 s of reference, 5 s of speech."""
        spoken = [
            Spoken(
                torch.arange(SPEECH) * 37 % 6561, embed_reference(self.network, made(24000 * 3, scale=0.1))
            )
        ]
        (exact,), (low,) = (
            S3Speech(self.network, S3SpeakingConfig(bf16=bf16)).mels(spoken) for bf16 in (False, True)
        )
        return float((exact - low).square().mean().sqrt())


@contextmanager
def original(python: str, network: S3Network) -> Iterator[Callable[[str, dict[str, int]], float]]:
    """A function that lets the original do a stage once and tells its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "s3gen.safetensors"
        save_file(to_published(network.state_dict()), file)
        script = Path(__file__).with_name("s3gen_published.py")
        command = [python, str(script), str(file)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin
            assert child.stdout
            json.loads(child.stdout.readline())

            def ask(stage: str, sizes: dict[str, int]) -> float:
                assert child.stdin
                assert child.stdout
                child.stdin.write(json.dumps({"stage": stage, "sizes": sizes}) + "\n")
                child.stdin.flush()
                return float(json.loads(child.stdout.readline())["seconds"])

            yield ask
            child.stdin.close()


def timed(run: Callable[[], Any]) -> float:
    """Processor seconds."""
    began = time.thread_time()
    run()
    return time.thread_time() - began


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stock", default="", help="interpreter with chatterbox-tts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stages", default="", help="names, with commas between; all without it")
    parser.add_argument("--bf16", action="store_true", help="our flow in bfloat16")
    parser.add_argument("--mean-flow", action="store_true", help="weights of the mean flow")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = S3Network(S3Sizes(mean_flow=asked.mean_flow)).eval()
    ours = Ours(network, bf16=asked.bf16)
    wanted = asked.stages.split(",") if asked.stages else [name for name, _ in STAGES]
    print(f"{'stage':34}{'original':>10}{'amtts':>10}{'times':>8}")
    with (
        original(asked.stock, network) if asked.stock else nullcontext(None) as theirs,
        torch.inference_mode(),
    ):
        for name, sizes in STAGES:
            if name not in wanted:
                continue
            run = ours.stage(name, sizes)
            run()
            mine: list[float] = []
            other: list[float] = []
            for _ in range(asked.rounds):
                mine.append(timed(run))
                if theirs:
                    other.append(theirs(name, sizes))
            label = f"{name} {' '.join(f'{key}={value}' for key, value in sizes.items())}"
            ratio = f"{median(b / a for a, b in zip(mine, other, strict=True)):8.2f}" if other else ""
            before = f"{median(other):10.3f}" if other else f"{'':10}"
            print(f"{label:34}{before}{median(mine):10.3f}{ratio}", flush=True)
        if asked.bf16:
            print(f"mel in bf16 against float32: rms {ours.bf16_error():.4f}")


if __name__ == "__main__":
    main()
