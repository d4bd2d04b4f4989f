"""Speech tokens per second of T3's decode loop, side by side with a plain loop, one thread, same weights.

The plain loop is transformers' LlamaModel with its growing cache and its logits processors, one utterance in two rows,
as the published code samples; a token has to be the same. The network is 256 wide with 8 layers and untrained.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch
from support import side_by_side
from torch import Tensor
from transformers import DynamicCache, LlamaConfig, LlamaModel
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from amtts_chatterbox.t3.config import SamplingConfig, T3Config
from amtts_chatterbox.t3.generate import Utterance, Voice, token_steps
from amtts_chatterbox.t3.names import to_published
from amtts_chatterbox.t3.network import T3

TOKENS, ROUNDS = 150, 5
TOKENS_FULL, ROUNDS_FULL = 50, 2
SYMBOLS = 500
TEXT = [255, *range(1, 41), 0]
GREEDY = SamplingConfig(cfg_weight=0.5, only_codes=False)


def network_of_the_benchmark(*, full: bool = False) -> T3:
    """Wide enough apart that the likeliest token is clear."""
    torch.manual_seed(0)
    small = {"hidden": 256, "intermediate": 1024, "layers": 8, "heads": 4, "head_dim": 64}
    config = T3Config.model_validate({} if full else small)
    network = T3(config, num_text_tokens=SYMBOLS).eval()
    for table in (network.speech_head.weight, network.speech_embedding.weight):
        torch.nn.init.normal_(table, std=0.5)
    return network


def plain_trunk(network: T3) -> LlamaModel:
    """The same trunk in transformers."""
    config, rope = network.config, network.config.rope
    trunk = LlamaModel(
        LlamaConfig(
            vocab_size=8,
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            head_dim=config.head_dim,
            rms_norm_eps=config.norm_eps,
            max_position_embeddings=131072,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": rope.theta,
                "factor": rope.factor,
                "low_freq_factor": rope.low_freq_factor,
                "high_freq_factor": rope.high_freq_factor,
                "original_max_position_embeddings": rope.original_positions,
            },
        )
    )
    weights = to_published(network.state_dict())
    own = {name.removeprefix("tfmr."): t for name, t in weights.items() if name.startswith("tfmr.")}
    trunk.load_state_dict(own)
    return trunk.eval()


@torch.inference_mode()
def plain_loop(
    network: T3, trunk: LlamaModel, voice: Voice, *, sample: bool, tokens: int = TOKENS
) -> list[int]:
    """One utterance with guidance, as published."""
    config = network.config
    prompt = torch.tensor([voice.prompt])
    conditioning = network.embed_conditioning(voice.speaker[None], torch.tensor([voice.emotion]), prompt)
    text = torch.tensor([TEXT, TEXT])
    start = torch.full((2, 1), config.start_speech)
    first = network.embed_speech(start)
    embedded = network.embed_text(text, torch.tensor([True, False]))
    rows = torch.cat([conditioning.expand(2, -1, -1), embedded, first, first], dim=1)
    processors = [RepetitionPenaltyLogitsProcessor(1.2)]
    warpers = [MinPLogitsWarper(0.05), TopPLogitsWarper(1.0)]
    cache = DynamicCache(config=trunk.config)
    out = trunk(inputs_embeds=rows, past_key_values=cache, use_cache=True, output_hidden_states=True)
    ids = torch.full((1, 1), config.start_speech)
    for step in range(tokens):
        logits = network.speech_head(out.last_hidden_state)[:, -1]
        scores: Tensor = logits[:1] + 0.5 * (logits[:1] - logits[1:])
        for process in processors:
            scores = process(ids, scores)
        scores = scores / 0.8
        for process in warpers:
            scores = process(ids, scores)
        mass = scores.softmax(-1)
        token = torch.multinomial(mass, 1) if sample else mass.argmax(-1, keepdim=True)
        ids = torch.cat([ids, token], dim=1)
        following = network.speech_embedding(token) + network.speech_positions.weight[step + 1]
        out = trunk(
            inputs_embeds=torch.cat([following, following]),
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=True,
        )
    return ids[0, 1:].tolist()


def our_loop(
    network: T3,
    voice: Voice,
    *,
    count: int = 1,
    dtype: torch.dtype | None = None,
    tokens: int = TOKENS,
    **changes: float,
) -> list[list[int]]:
    """The tokens of each utterance of a batch of `count`; greedy without changes of the sampling."""
    sampling = SamplingConfig.model_validate(GREEDY.model_dump() | changes)
    utterances = [Utterance(text=TEXT, voice=voice, seed=number) for number in range(count)]
    found: list[list[int]] = [[] for _ in utterances]
    steps = token_steps(network, utterances, sampling=sampling, steps=tokens, dtype=dtype, greedy=not changes)
    for drawn in steps:
        for row, fresh in zip(found, drawn, strict=True):
            row += fresh
    return found


def compare(*, full: bool) -> None:
    """Prints tokens per second of processor time of each way."""
    network = network_of_the_benchmark(full=full)
    half = copy.deepcopy(network)  # what is cast once for a network stays, as it does for a user of one kind
    trunk = plain_trunk(network)
    voice = Voice(speaker=torch.ones(256) / 16, prompt=list(range(150)))
    tokens, rounds = (TOKENS_FULL, ROUNDS_FULL) if full else (TOKENS, ROUNDS)

    def ours(count: int = 1, *, bf16: bool = False, cfg: float = 0.5) -> Callable[[], int]:
        dtype = torch.bfloat16 if bf16 else None

        def run() -> int:
            options: dict[str, Any] = {"count": count, "dtype": dtype, "tokens": tokens}
            return sum(
                map(
                    len,
                    our_loop(half if bf16 else network, voice, **options, only_codes=True, cfg_weight=cfg),
                )
            )

        return run

    cases = {
        "plain loop, guidance": lambda: len(plain_loop(network, trunk, voice, sample=True, tokens=tokens)),
        "ours, guidance": ours(),
        "ours, guidance, bf16": ours(bf16=True),
    }
    if not full:
        cases |= {
            "ours, no guidance": ours(cfg=0.0),
            "ours, guidance, 8 utterances": ours(8),
            "ours, guidance, 8 utterances, bf16": ours(8, bf16=True),
        }
    same = plain_loop(network, trunk, voice, sample=False, tokens=tokens)
    same_tokens = [same] == our_loop(network, voice, tokens=tokens)
    found = side_by_side(cases, rounds=rounds)
    size = "full size (536 M)" if full else "256 wide, 8 layers"
    print(f"T3 {size}, {tokens} tokens with sampling, prefill included, 1 thread, {rounds} rounds in turns")
    print(f"greedy tokens of both loops are {'the same' if same_tokens else 'NOT the same'}")
    for name, (speed, ratio) in found.items():
        print(f"{name:36s} {speed:6.1f} tokens/s  {ratio:5.2f} x")


def main() -> None:
    """The small size, and with --full the published one (8 GB of memory)."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the published size instead; 8 GB of memory")
    compare(full=parser.parse_args().full)


if __name__ == "__main__":
    main()
