"""What may move in training after surgery, to the bit; LoRA that really adapts; what the old languages lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from amtts_core.config.sections import OptimConfig, RatesConfig
from amtts_core.contract.types import TextTensor
from amtts_core.errors import AmttsError, CheckpointError, ConfigError
from amtts_core.forgetting.text_losses import ForgettingGuard, compare_scores
from amtts_core.nn.freeze import FrozenRows, freeze_modules, freeze_original_tokens
from amtts_core.nn.lora import (
    add_lora,
    choose_trainable,
    describe_adapters,
    lora_targets,
    merge_stored,
    merged_adapters,
)
from amtts_core.nn.scaled_rows import ScaledRows
from amtts_core.nn.text_loss import text_cross_entropy
from amtts_core.training.optim import build_optimizer

ROWS = (
    TextTensor("embedding.weight", "embedding"),
    TextTensor("head.weight", "head"),
    TextTensor("head.bias", "bias"),
)


class Toy(nn.Module):
    """A language model with one layer of each kind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(12, 8)
        self.c_attn = Conv1D(24, 8)
        self.c_proj = Conv1D(8, 24)
        self.up = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 12)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.embedding(ids)
        return self.head(self.norm(self.up(hidden + self.c_proj(torch.tanh(self.c_attn(hidden))))))


def loss_of(network: nn.Module, step: int) -> torch.Tensor:
    source = torch.Generator().manual_seed(step)
    ids = torch.randint(0, 12, (4, 9), generator=source)
    return nn.functional.cross_entropy(network(ids[:, :-1]).transpose(1, 2), ids[:, 1:])


def optimizers(parameters: list[nn.Parameter]) -> list[torch.optim.Optimizer]:
    return [
        torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.5),
        torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.5, amsgrad=True, foreach=False),
        torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1),
    ]


@pytest.mark.parametrize("kind", range(3))
def test_frozen_rows_keep_their_bits_for_50_steps(kind: int) -> None:
    network = Toy()
    optimizer = optimizers(list(network.parameters()))[kind]
    for step in range(5):  # moments that would go on moving the rows
        optimizer.zero_grad()
        loss_of(network, step).backward()
        optimizer.step()
    tensors = dict(network.named_parameters())
    frozen = freeze_original_tokens(network, ROWS, [11, 9, 10])
    before = {name: value.detach().clone() for name, value in tensors.items()}
    for step in range(50):
        optimizer.zero_grad()
        loss_of(network, step).backward()
        frozen.before_step()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        frozen.after_step(optimizer)
    assert len(frozen) == 27
    for rows in ROWS:
        value = tensors[rows.tensor]
        assert value[:9].detach().numpy().tobytes() == before[rows.tensor][:9].numpy().tobytes()
        assert not torch.equal(value[9:], before[rows.tensor][9:])
        for state in optimizer.state[value].values():
            if state.shape == value.shape:
                assert not state[:9].any()
    assert not torch.equal(tensors["up.weight"], before["up.weight"])


def test_without_the_restoring_step_weight_decay_moves_them() -> None:
    network = Toy()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.5)
    frozen = FrozenRows({network.embedding.weight: torch.arange(12) < 9})
    before = network.embedding.weight.detach().clone()
    loss_of(network, 0).backward()
    frozen.before_step()
    optimizer.step()
    assert not torch.equal(network.embedding.weight[:9], before[:9])
    frozen.after_step(optimizer)
    assert torch.equal(network.embedding.weight[:9], before[:9])
    with pytest.raises(ValueError, match="row 12 of a tensor with 12 rows"):
        FrozenRows({network.embedding.weight: torch.tensor([12])})


def test_original_rows_of_other_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="new token 12: 'embedding.weight' has 12 text tokens"):
        freeze_original_tokens(Toy(), ROWS, [3, 12])
    with pytest.raises(ConfigError, match="no parameter 'text'"):
        freeze_original_tokens(Toy(), [TextTensor("text", "head")], [3])


def test_frozen_modules() -> None:
    network = Toy()
    assert freeze_modules(network, ["up", "head.bias"]) == ["up.weight", "up.bias", "head.bias"]
    before = network.up.weight.detach().clone()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5)
    loss_of(network, 0).backward()
    optimizer.step()
    assert torch.equal(network.up.weight, before)
    with pytest.raises(ConfigError, match="no module 'c_atn' .did you mean 'c_attn'"):
        freeze_modules(network, ["c_atn"])


def test_slower_rows_take_a_share_of_the_step() -> None:
    network, other = Toy(), Toy()
    slow = ScaledRows([(network.embedding.weight, torch.arange(9))], factor=0.25)
    for model, scaled in ((network, slow), (other, None)):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        loss_of(model, 0).backward()
        if scaled:
            scaled.before_step()
        optimizer.step()
        if scaled:
            scaled.after_step(optimizer)
    start = Toy().embedding.weight
    whole = other.embedding.weight - start
    torch.testing.assert_close(network.embedding.weight[:9] - start[:9], 0.25 * whole[:9])
    torch.testing.assert_close(network.embedding.weight[9:], other.embedding.weight[9:])


def test_groups_hold_every_parameter_once_at_its_rate() -> None:
    network = Toy()
    kinds = {id(network.embedding.weight): "new_tokens"}
    kinds |= {id(parameter): "heads" for parameter in (network.head.weight, network.head.bias)}
    config = OptimConfig(weight_decay=0.1, rates=RatesConfig(new_tokens=5, heads=2, other=0.5))
    groups = build_optimizer(network.parameters(), config, kinds=kinds).param_groups
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found) == len(list(network.parameters()))
    told = lambda p: (found[id(p)]["rate"], found[id(p)]["weight_decay"])  # noqa: E731
    assert told(network.embedding.weight) == (5, 0.1)
    assert told(network.head.weight) == (2, 0.1)
    assert told(network.head.bias) == (2, 0.0)
    assert told(network.up.weight) == (0.5, 0.1)
    assert told(network.norm.weight) == (0.5, 0.0)
    assert len(build_optimizer(network.parameters(), config).param_groups) == 2


def test_lora_adapts_conv1d_and_linear_and_merges_back() -> None:
    network = Toy()
    ids = torch.arange(12)[None]
    before, names = network(ids).detach(), set(network.state_dict())
    assert add_lora(network, ["c_attn", "up"], rank=4) == ["c_attn", "up"]
    told = describe_adapters(network, ["c_attn", "up"], rank=4, alpha=32)
    assert told["transposed"] == ["c_attn"]
    torch.testing.assert_close(network(ids), before)
    learning = choose_trainable(network, "lora", ROWS)
    assert all(".lora_" in name for name in learning)
    assert len(learning) == 4
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.05)
    for step in range(10):
        optimizer.zero_grad()
        loss_of(network, step).backward()
        optimizer.step()
    after = network(ids).detach()
    assert not torch.allclose(after, before, atol=1e-3)
    stored = {name: value.detach().clone() for name, value in network.state_dict().items()}
    state = merge_stored(stored, told)
    assert set(state) == names
    with merged_adapters(network):
        assert set(network.state_dict()) == names
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, state[name])
    again = network.state_dict()
    assert set(again) == set(stored)
    assert all(again[name].numpy().tobytes() == stored[name].numpy().tobytes() for name in stored)
    del stored["up.lora_A.default.weight"]
    with pytest.raises(CheckpointError, match="names an adapter on 'up', its weights hold none"):
        merge_stored(stored, told)
    plain = Toy()
    plain.load_state_dict(state, strict=True)
    torch.testing.assert_close(plain(ids), after)
    assert "text" not in state
    assert set(choose_trainable(network, "lora+new-tokens", ROWS)) == {
        *learning,
        *(rows.tensor for rows in ROWS),
    }
    assert choose_trainable(Toy(), "embeddings-only", ROWS) == [rows.tensor for rows in ROWS]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lora_targets(Toy(), ["q_proj"]), "'q_proj' matches none of 4 layers"),
        (lambda: lora_targets(Toy(), ["c_atn"]), "did you mean 'c_attn'"),
        (lambda: lora_targets(Toy(), []), "no target"),
        (lambda: choose_trainable(Toy(), "lora", ROWS), "no adapters"),
        (lambda: choose_trainable(Toy(), "embeddings-only", ()), "no text tensors"),
        (lambda: choose_trainable(Toy(), "lorra", ROWS), "did you mean 'lora'"),  # type: ignore[arg-type]
    ],
)
def test_what_would_train_nothing_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_patterns_are_ends_of_names_or_whole_expressions() -> None:
    network = nn.ModuleDict({"a": Toy(), "b": Toy()})
    assert lora_targets(network, ["c_attn"]) == ["a.c_attn", "b.c_attn"]
    assert lora_targets(network, [r"b\..*"]) == ["b.c_attn", "b.c_proj", "b.up", "b.head"]
    with pytest.raises(ConfigError):
        lora_targets(network, ["attn"])


def test_text_scores() -> None:
    torch.manual_seed(0)
    logits, tokens = torch.randn(3, 7, 12), torch.randint(0, 12, (3, 7))
    lengths = torch.tensor([7, 4, 2])
    scores = text_cross_entropy(logits, tokens, lengths)
    for item, length in enumerate(lengths.tolist()):
        expected = nn.functional.cross_entropy(logits[item, : length - 1], tokens[item, 1:length])
        torch.testing.assert_close(scores[item], expected)
    wider = torch.cat([logits, torch.full((3, 7, 5), 9.0)], dim=-1)  # new tokens take probability
    torch.testing.assert_close(text_cross_entropy(wider, tokens, lengths, rows=12), scores)
    assert (text_cross_entropy(wider, tokens, lengths) > scores).all()


def test_the_guard_stops_above_its_limit() -> None:
    guard = ForgettingGuard([1.0, 2.0], limit=0.2)
    found = guard.check([1.3, 2.0])
    assert found.rise == pytest.approx(0.15)
    assert found.worst == (pytest.approx(0.3), 0)
    for after in ([1.5, 2.0], [float("nan"), 2.0]):
        with pytest.raises(AmttsError, match="rose from 1.500 to"):
            guard.check(after)
    with pytest.raises(AmttsError, match="2 scores before, 1 after"):
        compare_scores([1, 2], [1])
