"""The alignment loss of the GPT and the noise on its inputs."""

from __future__ import annotations

import pytest
import torch
from tiny_gpt import BOOKS, ENTRIES, clips, prefix, tiny_gpt

from amtts_indextts2.alignment import alignment_layer, alignment_loss, text_log_shares
from amtts_indextts2.learner import IndexTTS2Learner
from amtts_indextts2.losses import code_rows


def test_its_shares_are_those_of_the_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_gpt()
    batch = clips(3)
    lengths = torch.tensor([len(clip.text) for clip in batch])
    text = torch.nn.utils.rnn.pad_sequence([clip.text for clip in batch], batch_first=True)
    rows = code_rows([clip.codes for clip in batch], network.config.head)
    layer = alignment_layer(network.trunk)
    entering: list[torch.Tensor] = []
    with torch.no_grad():
        start = prefix(network, 3)
        network.hidden(
            start,
            text,
            lengths,
            rows.inputs,
            rows.lengths,
            watch=lambda number, hidden: entering.append(hidden) if number == layer else None,
        )
        begin = start.shape[1]
        shares = text_log_shares(network.trunk, entering[0], begin, lengths + 2, rows.inputs.shape[1], head=1)
        block = network.trunk.blocks[layer]
        qkv = block.attention.qkv(block.norm_attention(entering[0]))
    for row in range(3):
        query, key, _ = (part[row].unflatten(-1, (4, -1))[:, 1] for part in qkv.chunk(3, dim=-1))
        scores = (query @ key.T) * query.shape[-1] ** -0.5
        wanted = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf).softmax(-1)
        text_end = begin + int(lengths[row]) + 2
        speech_end = text_end + int(rows.lengths[row])
        found = shares[row, : rows.lengths[row], : lengths[row] + 2].exp()
        assert torch.allclose(found, wanted[text_end:speech_end, begin:text_end], atol=1e-5)
    some = lengths.masked_fill(torch.tensor([True, False, False]), 0)
    with torch.no_grad():
        whole, masked = (
            alignment_loss(network.trunk, entering[0], begin, told, rows.lengths) for told in (lengths, some)
        )
    assert torch.isfinite(whole)
    assert float(whole) != float(masked)


@pytest.mark.parametrize("books", [1, BOOKS])
def test_noise_changes_codes_and_no_marks(books: int) -> None:
    head = {"kind": "dac", "num_codebooks": books, "cardinality": ENTRIES}
    if books == 1:
        head = {"kind": "semantic", "num_codes": ENTRIES + 2, "start": ENTRIES, "stop": ENTRIES + 1}
    network = tiny_gpt(code_noise=0.5, head=head)
    learner = IndexTTS2Learner(network)
    inputs = code_rows([clip.codes for clip in clips(4, books=books)], network.config.head).inputs
    before = inputs.clone()
    heard = learner._noisy(inputs)
    assert torch.equal(inputs, before)
    codes = before < ENTRIES
    assert torch.equal(heard[~codes], before[~codes])
    assert 0.1 < float((heard != before)[codes].float().mean()) < 0.9
