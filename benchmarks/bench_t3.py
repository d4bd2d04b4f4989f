"""Speech tokens per second of T3's decode loop, side by side with a plain loop, one thread, same weights.

The plain loop is transformers' LlamaModel with its growing cache and its logits processors, one utterance in two rows,
as the published code samples; greedy, the tokens are the same. The network is 256 wide with 8 layers and untrained.
What ends speech is not drawn, so every case makes as many tokens.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
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

from amtts_chatterbox.t3.config import T3Config, T3SamplingConfig
from amtts_chatterbox.t3.inference import Utterance, Voice, prompts_of
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.published import to_published
from amtts_core.speech_lm.generate import Decoding, generate
from amtts_core.speech_lm.runtime import Precision

TOKENS, ROUNDS = 150, 5
TOKENS_FULL, ROUNDS_FULL = 50, 2
SYMBOLS = 500
TEXT = [255, *range(1, 41), 0]


def network_of_the_benchmark(*, full: bool = False) -> T3:
    """Wide enough apart that the likeliest token is clear."""
    torch.manual_seed(0)
    small = {"hidden": 256, "intermediate": 1024, "layers": 8, "heads": 4, "head_dim": 64}
    config = T3Config.model_validate({} if full else small)
    network = T3(config, num_text_tokens=SYMBOLS).eval()
    for table in (network.speech.head.weight, network.speech.embedding.weight):
        torch.nn.init.normal_(table, std=0.5)
    return network


def plain_transformer(network: T3) -> LlamaModel:
    """The same weights in transformers."""
    config, rope = network.config, network.config.rope
    llama = LlamaModel(
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
    llama.load_state_dict(own)
    return llama.eval()


@torch.inference_mode()
def plain_loop(
    network: T3, llama: LlamaModel, voice: Voice, *, sample: bool, tokens: int = TOKENS
) -> list[int]:
    """One utterance with guidance, as published."""
    config = network.config
    prompt = torch.tensor([voice.prompt])
    conditioning = network.embed_conditioning(voice.speaker[None], torch.tensor([voice.emotion]), prompt)
    text = torch.tensor([TEXT, TEXT])
    start, first_position = torch.full((2, 1, 1), config.start_speech), torch.zeros(1, dtype=torch.int64)
    first = network.speech.embed(start, first_position)
    embedded = network.embed_text(text, torch.tensor([True, False]))
    rows = torch.cat([conditioning.expand(2, -1, -1), embedded, first, first], dim=1)
    processors = [RepetitionPenaltyLogitsProcessor(1.2)]
    warpers = [MinPLogitsWarper(0.05), TopPLogitsWarper(1.0)]
    cache = DynamicCache(config=llama.config)
    out = llama(inputs_embeds=rows, past_key_values=cache, use_cache=True, output_hidden_states=True)
    ids = torch.full((1, 1), config.start_speech)
    for step in range(tokens):
        logits = network.speech.head(out.last_hidden_state)[:, -1]
        scores: Tensor = logits[:1] + 0.5 * (logits[:1] - logits[1:])
        for process in processors:
            scores = process(ids, scores)
        scores = scores / 0.8
        for process in warpers:
            scores = process(ids, scores)
        mass = scores.softmax(-1)
        token = torch.multinomial(mass, 1) if sample else mass.argmax(-1, keepdim=True)
        ids = torch.cat([ids, token], dim=1)
        following = network.speech.embed(token[..., None], torch.tensor([step + 1]))
        out = llama(
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
    tokens: int = TOKENS,
    precision: Precision = "fp32",
    draft: bool = False,
    greedy: bool = False,
    **changes: float,
) -> list[list[int]]:
    """The tokens of each utterance of a batch of `count`; greedy ones may be any id, as in the plain loop."""
    sampling = T3SamplingConfig.model_validate({"temperature": 0 if greedy else 0.8, **changes})
    utterances = [Utterance(text=TEXT, voice=voice, seed=number) for number in range(count)]
    prompts = [
        replace(prompt, min_frames=tokens)
        for prompt in prompts_of(network, utterances, sampling, max_frames=tokens)
    ]
    decoding = Decoding(sampling=sampling, precision=precision, draft=draft, any_id=greedy)
    return [one.codes[:, 0].tolist() for one in generate(network, prompts, decoding)]


def compare(*, full: bool) -> None:
    """Prints tokens per second of processor time of each way."""
    network = network_of_the_benchmark(full=full)
    copies: dict[str, T3] = {}  # what is derived from weights stays, as for a user of one precision
    llama = plain_transformer(network)
    voice = Voice(speaker=torch.ones(256) / 16, prompt=list(range(150)))
    tokens, rounds = (TOKENS_FULL, ROUNDS_FULL) if full else (TOKENS, ROUNDS)

    def ours(count: int = 1, **options: Any) -> Callable[[], int]:
        own = copies.setdefault(str(options.get("precision", "")), copy.deepcopy(network))

        def run() -> int:
            return sum(map(len, our_loop(own, voice, count=count, tokens=tokens, **options)))

        return run

    no_guidance = {"guidance_scale": 1.0}
    cases = {
        "plain loop, guidance": lambda: len(plain_loop(network, llama, voice, sample=True, tokens=tokens)),
        "ours, guidance": ours(),
        "ours, guidance, with a draft": ours(draft=True),
        "ours, guidance, bf16": ours(precision="bf16"),
        "ours, guidance, int8": ours(precision="int8"),
    }
    if not full:
        cases |= {
            "ours, no guidance": ours(**no_guidance),
            "ours, no guidance, with a draft": ours(draft=True, **no_guidance),
            "ours, guidance, 8 utterances": ours(8),
            "ours, guidance, 8 utterances, bf16": ours(8, precision="bf16"),
            "ours, guidance, 8 utterances, int8": ours(8, precision="int8"),
        }
    same = plain_loop(network, llama, voice, sample=False, tokens=tokens)
    same_tokens = [same] == our_loop(network, voice, tokens=tokens, greedy=True)
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
