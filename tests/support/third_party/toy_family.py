"""A model family of someone else, with published weights of its own: loudness from text, one frame per character."""

import json

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import nn
from toy_tokenizer import FORMAT

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.backend import Backend, BackendSpec, TextInput
from amtts_core.contract.capabilities import Export
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import Features, PhaseLoss, TextTensor
from amtts_core.finetune.vocab.weights_file import find_weights, read_weights
from amtts_core.settings import Settings

RATE, HOP = 16000, 800
NAMES = {"text.weight": "tok", "guess.weight": "out", "guess.bias": "shift", "loudness.weight": "loud"}
"""Our names -> published ones."""


class ToyConfig(Settings):
    """Sizes of the network."""

    width: int = Field(6, gt=0, description="channels")


class ToyNetwork(nn.Module):
    """Ids (B, N) -> loudness (B, N) and logits of the next character (B, N, V)."""

    def __init__(self, width, vocab_size):
        super().__init__()
        self.text = nn.Embedding(vocab_size, width)
        self.guess = nn.Linear(width, vocab_size)
        self.loudness = nn.Linear(width, 1, bias=False)

    def forward(self, ids):
        hidden = self.text(ids).cumsum(1).tanh()
        return self.loudness(hidden)[..., 0], self.guess(hidden)


class ToyLearner:
    """One phase: squared error of the mean loudness, and a little of the next character."""

    phases = ("main",)

    def __init__(self, network):
        self.modules = {"network": network}

    def parameters(self, phase):
        return [p for p in self.modules["network"].parameters() if p.requires_grad]

    def losses(self, batch):
        loudness, logits = self.modules["network"](batch["tokens"])
        error = (loudness.mean(1) - batch["loudness"]).square().mean()
        total = error + 1e-3 * logits.logsumexp(-1).mean()
        yield PhaseLoss(phase="main", total=total, terms={"error": error.detach()})

    def figures(self, batch):
        return {}


def open_weights(path):
    """Published weights; none of their parameters is newly initialized."""
    weights = read_weights(find_weights(path, PUBLISHED)).tensors

    def load_into(backend):
        load_strict(backend.network, {ours: weights[theirs] for ours, theirs in NAMES.items()}, backend="toy")
        return ()

    return PublishedWeights(model={"width": weights["tok"].shape[1]}, load_into=load_into)


@torch.inference_mode()
def probe(weights, config, sequences):
    """Both outputs of the network."""
    network = ToyNetwork(weights["tok"].shape[1], len(weights["tok"]))
    network.load_state_dict({ours: weights[theirs] for ours, theirs in NAMES.items()})
    found = [network(torch.tensor([list(ids)])) for ids in sequences]
    return {
        "loudness": torch.cat([loudness[0] for loudness, _ in found]),
        "text_logits": torch.cat([logits[0] for _, logits in found]),
    }


PUBLISHED = PublishedFormat(
    name="toy",
    aliases=("toy-tts",),
    license="Toy License 1.0",
    weight_files=("voice.safetensors",),
    text_tensors=(TextTensor("tok", "embedding"), TextTensor("out", "head"), TextTensor("shift", "bias")),
    size_keys=("text.size",),
    tokenizer=FORMAT,
    open_weights=open_weights,
    probe=probe,
)


class ToyBackend(Backend[ToyConfig]):
    """Loudness from text."""

    spec = BackendSpec(
        name="toy",
        summary="loudness from text",
        sample_rate=RATE,
        learns_from="waveform",
        text=TextInput(tokenizers=("toy-lines", "fidel")),
        config=ToyConfig,
        presets={"tiny": {}},
        training_defaults={"training": {"max_steps": 2, "validate_every": 2, "save_every": 2}},
        published=PUBLISHED,
        export=Export(formats=("toy",)),
    )

    def build_network(self):
        return ToyNetwork(self.config.width, self.tokenizer.vocab_size)

    def text_tensors(self):
        return (
            TextTensor("text.weight", "embedding"),
            TextTensor("guess.weight", "head"),
            TextTensor("guess.bias", "bias"),
        )

    def features(self, waveform):
        frames = waveform[: len(waveform) // HOP * HOP].reshape(-1, HOP)
        return Features(arrays={"loudness": np.abs(frames).mean(1, keepdims=True).astype(np.float32)})

    def collate(self, examples):
        longest = max(len(example.tokens) for example in examples)
        padded = [example.tokens + [0] * (longest - len(example.tokens)) for example in examples]
        loudness = [float(example.features["loudness"].mean()) for example in examples]
        return {
            "ids": [example.id for example in examples],
            "tokens": torch.tensor(padded),
            "loudness": torch.tensor(loudness),
        }

    def learner(self):
        return ToyLearner(self.network)

    @torch.inference_mode()
    def synthesize(self, requests):
        found = [self.network(torch.tensor([list(request.tokens)]))[0][0] for request in requests]
        return [loudness.tanh().repeat_interleave(HOP).numpy().astype(np.float32) for loudness in found]

    def export(self, folder, *, format):
        state = self.network.state_dict()
        weights = {theirs: state[ours].contiguous() for ours, theirs in NAMES.items()}
        save_file(weights, folder / "voice.safetensors")
        config = {"text": {"size": self.tokenizer.vocab_size}}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "symbols.txt").write_text("\n".join(self.tokenizer.symbols()), encoding="utf-8")
