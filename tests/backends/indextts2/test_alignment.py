"""The alignment loss of the GPT reads its own attention, and noise changes inputs alone."""

from __future__ import annotations

import pytest
import torch
from tiny_gpt import CODEBOOKS, ENTRIES, SEMANTIC, clips, inputs_of, prefix, tiny_gpt

from amtts_core.speech_lm.attention import alignment_layer
from amtts_core.speech_lm.learner import attention_of
from amtts_indextts2.learner import IndexTTS2Learner


def test_its_attention_is_that_of_the_layer() -> None:
    network, batch = tiny_gpt(), clips(3)
    layer = alignment_layer(network.config.layers)
    inputs = inputs_of(network, batch)
    widths = inputs["text"].shape[1], inputs.pop("targets").shape[1]
    with torch.no_grad():
        states = network(**inputs, prefix=prefix(network, 3), tap=layer)
        probs = attention_of(network, states, widths, layer).exp()
        assert states.tapped is not None
        block = network.transformer.blocks[layer]
        qkv = block.attention.qkv(block.norm_attention(states.tapped))
    for item in range(3):
        query, key, _ = (part[item].unflatten(-1, (4, -1)).transpose(0, 1) for part in qkv.chunk(3, dim=-1))
        scores = (query @ key.transpose(1, 2)) * query.shape[-1] ** -0.5
        wanted = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf).softmax(-1)
        begin, letters, codes = 4, int(inputs["text_lengths"][item]), int(inputs["input_lengths"][item])
        speech = begin + letters
        wanted = wanted[:, speech : speech + codes, begin:speech]
        torch.testing.assert_close(probs[item, :, :codes, :letters], wanted, atol=1e-5, rtol=0)


def batch_of(network: torch.nn.Module, codebooks: int) -> dict[str, torch.Tensor]:
    """As a backend collates it."""
    found = inputs_of(network, clips(3, codebooks=codebooks))  # type: ignore[arg-type]
    return {
        "tokens": found["text"],
        "token_lengths": found["text_lengths"],
        "frames": found["input_lengths"] - 1,
        "inputs": found["inputs"],
        "targets": found["targets"],
        "input_lengths": found["input_lengths"],
        "speakers": torch.zeros(3, dtype=torch.int64),
    }


def test_an_item_without_text_does_not_count() -> None:
    network = tiny_gpt(alignment_weight=0.5, text_dropout=0.99)
    learner, batch = IndexTTS2Learner(network), batch_of(network, CODEBOOKS)
    found = {}
    for training in (False, True):
        network.train(training)
        torch.manual_seed(1)
        with torch.no_grad():
            found[training] = next(iter(learner.losses(batch))).terms
    assert float(found[False]["alignment"]) > 0 == float(found[True]["alignment"])
    assert float(found[True]["text"]) == 0


@pytest.mark.parametrize("codebooks", [1, CODEBOOKS])
def test_noise_changes_codes_and_no_marks(codebooks: int) -> None:
    head = {"kind": "dac", "num_codebooks": codebooks, "cardinality": ENTRIES}
    network = tiny_gpt(code_noise=0.5, head=SEMANTIC if codebooks == 1 else head)
    learner = IndexTTS2Learner(network)
    inputs = network.speech.to_batch([clip.codes for clip in clips(4, codebooks=codebooks)]).inputs
    before = inputs.clone()
    assert torch.equal(learner.noisy(inputs), before)
    network.train()
    noisy = learner.noisy(inputs)
    assert torch.equal(inputs, before)
    codes = before < ENTRIES
    assert torch.equal(noisy[~codes], before[~codes])
    assert 0.1 < float((noisy != before)[codes].float().mean()) < 0.9
