"""Codes per second of IndexTTS2's decode loop, side by side with transformers' `generate`, one thread, same weights.

The network has the size of the preset `base` (512 x 12) with one stream of 8194 codes, as released, and is untrained.
The yardstick is transformers' GPT-2 with the same weights; greedy, both say the same codes. "With a draft" guesses in
8 bits and checks with the exact weights, see `amtts_core.speech_lm.generate`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from support import side_by_side
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from amtts_core.speech_lm.generate import Decoding, generate
from amtts_indextts2.config import PRESETS, IndexTTS2Config
from amtts_indextts2.inference import prompt_of
from amtts_indextts2.network import IndexTTS2Gpt

CODES, ROUNDS, TOGETHER = 120, 3, 8
TEXT = [0, *range(2, 62), 1]


def network_of_the_benchmark() -> IndexTTS2Gpt:
    """Wide enough apart that the likeliest code is clear."""
    torch.manual_seed(0)
    config = IndexTTS2Config.model_validate(PRESETS["base"] | {"head": {"kind": "semantic"}})
    network = IndexTTS2Gpt(config, 100).eval()
    network.initialize()
    for table in (network.speech.embedding.weight, network.speech.head.weight):
        nn.init.normal_(table, std=0.5)
    return network


def plain_model(network: IndexTTS2Gpt, begin: int) -> GPT2LMHeadModel:
    """The same network in transformers; `begin` rows come before what it generates."""
    config = network.config
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=network.config.head.num_codes,
            n_positions=begin + CODES,
            n_embd=config.model_dim,
            n_layer=config.layers,
            n_head=config.heads,
            tie_word_embeddings=False,
            bos_token_id=network.config.head.start,
            eos_token_id=network.config.head.stop,
        )
    ).eval()
    with torch.no_grad():
        model.transformer.wte.weight.copy_(network.speech.embedding.weight)
        model.transformer.wpe.weight[:begin] = 0  # the rows before come with their positions
        model.transformer.wpe.weight[begin:] = network.speech.positions.weight[1 : CODES + 1]
        for ours, theirs in zip(network.transformer.blocks, model.transformer.h, strict=True):
            _copy_norm(theirs.ln_1, ours.norm_attention)
            _copy_norm(theirs.ln_2, ours.norm_feed_forward)
            for part, linear in (
                (theirs.attn.c_attn, ours.attention.qkv),
                (theirs.attn.c_proj, ours.attention.out),
                (theirs.mlp.c_fc, ours.up),
                (theirs.mlp.c_proj, ours.down),
            ):
                part.weight.copy_(linear.weight.t())
                part.bias.copy_(linear.bias)
        _copy_norm(model.transformer.ln_f, network.transformer.norm)
    model.lm_head = nn.Sequential(network.transformer.final_norm, network.speech.head)
    return model


def _copy_norm(theirs: nn.LayerNorm, ours: nn.LayerNorm) -> None:
    theirs.weight.copy_(ours.weight)
    theirs.bias.copy_(ours.bias)


def main() -> None:
    """Prints codes per second of processor time of each way."""
    torch.set_num_threads(1)
    network = network_of_the_benchmark()
    with torch.no_grad():
        prefix = network.prefix(network.latents_of(torch.zeros(1, dtype=torch.int64)))
    prompt = prompt_of(network, prefix[0], TEXT, max_frames=CODES, min_frames=CODES)
    rows = prompt.embeds[None]
    model = plain_model(network, rows.shape[1])

    def plain(**options: Any) -> Tensor:
        mask = torch.ones(1, rows.shape[1], dtype=torch.int64)
        with torch.inference_mode():
            return model.generate(
                inputs_embeds=rows,
                attention_mask=mask,
                max_new_tokens=CODES,
                min_new_tokens=CODES,
                pad_token_id=0,
                **options,
            )

    def ours(count: int = 1, **options: Any) -> Callable[[], int]:
        # a network keeps what was made of its weights for one kind of number only
        own = copy.deepcopy(network)
        return lambda: sum(len(item.codes) for item in generate(own, [prompt] * count, Decoding(**options)))

    any_id = generate(network, [prompt], Decoding(any_id=True))[0].codes[:, 0].tolist()
    same = plain(do_sample=False)[0].tolist() == any_id
    drafted = generate(network, [prompt], Decoding(draft=True))[0].codes
    ahead = torch.equal(drafted, generate(network, [prompt])[0].codes)
    found = side_by_side(
        {
            "generate, greedy": lambda: plain(do_sample=False).shape[1],
            "generate, 3 beams, sampled (released)": lambda: plain(
                do_sample=True, num_beams=3, top_k=30, top_p=0.8, temperature=0.8
            ).shape[1],
            "ours, greedy": ours(),
            "ours, greedy, with a draft": ours(draft=True),
            "ours, greedy, bf16": ours(precision="bf16"),
            "ours, greedy, int8": ours(precision="int8"),
            f"ours, greedy, {TOGETHER} sentences": ours(TOGETHER),
            f"ours, greedy, {TOGETHER} sentences, bf16": ours(TOGETHER, precision="bf16"),
            f"ours, greedy, {TOGETHER} sentences, int8": ours(TOGETHER, precision="int8"),
        },
        rounds=ROUNDS,
    )
    print(f"IndexTTS2 512 x 12, {CODES} codes, prefill included, 1 thread, {ROUNDS} rounds in turns")
    print(f"greedy codes of both loops are {'the same' if same else 'NOT the same'}")
    print(f"and with a draft they are {'the same' if ahead else 'NOT the same'}")
    for name, (speed, ratio) in found.items():
        print(f"{name:40s} {speed:6.1f} codes/s  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
