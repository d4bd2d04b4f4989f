"""How far speech of held-out text is from its recording: log-mels, laid over each other by dynamic time warping.

    python examples/vits/mel_distance.py --data data run/checkpoints/step-00000100 run

For every checkpoint: the mean absolute difference of natural-log mels along the best path, a mean over utterances, and
how much longer than recorded the voice speaks. The first line is the same network before it learnt anything. The voice
speaks without variation, so two runs of this script agree.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from amtts_core.audio.mel import MelConfig
from amtts_core.checkpoints.checkpoint import Checkpoint, read_checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.types import SynthesisRequest
from amtts_core.data.dataset import load_dataset
from amtts_vits.spectrogram import log_mel


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", required=True, type=Path, help="prepared corpus")
    parser.add_argument("--split", default="test", help="test or val")
    parser.add_argument("--count", default=12, type=int, help="utterances, from the first on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for number, path in enumerate(options.checkpoints):
        checkpoint = read_checkpoint(path)
        manifest = options.data / f"{options.split}.jsonl"
        if not number:
            tell("untrained", untrained(checkpoint), manifest, options.count)
        tell(f"{path} (step {checkpoint.info.step})", checkpoint.load_backend(), manifest, options.count)


def untrained(checkpoint: Checkpoint) -> Backend:
    """A network of the same size with its first weights."""
    torch.manual_seed(1234)
    kind = get_backend(checkpoint.info.backend)
    settings = kind.spec.config.model_validate(checkpoint.info.backend_config)
    backend = kind(settings, tokenizer=checkpoint.tokenizer(), speakers=checkpoint.info.speakers)
    backend.network.eval()
    return backend


def tell(name: str, backend: Backend, manifest: Path, count: int) -> None:
    """Prints the line of one network."""
    backend.config = backend.config.model_copy(update={"noise_scale": 0.0, "noise_scale_duration": 0.0})
    data = load_dataset(backend, manifest, manifest.parent / "features", max_samples=count)
    distances, lengths = [], []
    for index in range(len(data)):
        example = data.example(index)
        recorded = example.features["waveform"].reshape(-1).astype(np.float32) / 32768
        spoken = backend.synthesize([SynthesisRequest(tokens=example.tokens, speaker=example.speaker)])[0]
        distances.append(distance(mel(spoken, backend.config.mel), mel(recorded, backend.config.mel)))
        lengths.append(len(spoken) / len(recorded))
    print(f"{name}: {np.mean(distances):.3f} nats a band, {np.mean(lengths):.2f} times as long", flush=True)


def mel(waveform: np.ndarray, config: MelConfig) -> np.ndarray:
    """(T,) -> (L, M)."""
    return log_mel(torch.from_numpy(waveform)[None], config)[0].T.numpy()


def distance(made: np.ndarray, recorded: np.ndarray) -> float:
    """Mean absolute difference along the path of least cost through both, (L, M) and (K, M)."""
    cost = np.abs(made[:, None] - recorded[None]).mean(2)
    total = np.full((len(made) + 1, len(recorded) + 1), np.inf)
    steps = np.zeros(total.shape)
    total[0, 0] = 0.0
    for row in range(1, total.shape[0]):
        for column in range(1, total.shape[1]):
            before = min(
                (row - 1, column - 1), (row - 1, column), (row, column - 1), key=lambda at: total[at]
            )
            total[row, column] = total[before] + cost[row - 1, column - 1]
            steps[row, column] = steps[before] + 1
    return float(total[-1, -1] / steps[-1, -1])


if __name__ == "__main__":
    main()
