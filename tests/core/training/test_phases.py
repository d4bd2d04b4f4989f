"""Two optimizers in one loop: a toy GAN against the same steps written out by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.checkpoints.checkpoint import CheckpointInfo, read_checkpoint
from amtts_core.config.sections import DataConfig, OptimConfig, TrainingConfig
from amtts_core.contract.backend import BackendSpec
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.settings import Settings
from amtts_core.training.callbacks.base import Callback, StepReport
from amtts_core.training.optim import build_optimizer, rate_factor
from amtts_core.training.trainer import Trainer

OPTIM = OptimConfig(learning_rate=0.02, warmup_steps=2, clip_norm=0.5)


class ToyGan:
    """Learns from random vectors; the discriminator judges what the generator makes of them."""

    spec: ClassVar[Any] = SimpleNamespace(name="toy-gan", sample_rate=8000)
    text_tokenizer = None

    spec = BackendSpec(
        name="toy-gan", summary="", sample_rate=8000, learns_from="mel", config=Settings, presets={"tiny": {}}
    )

    def __init__(self) -> None:
        torch.manual_seed(5)
        self.network = nn.ModuleDict({"generator": nn.Linear(4, 4), "discriminator": nn.Linear(4, 1)})

    def learner(self) -> ToyGanLearner:
        return ToyGanLearner(self.network)


class ToyGanLearner:
    phases = ("discriminator", "generator")

    def __init__(self, network: nn.ModuleDict) -> None:
        self.modules: dict[str, nn.Module] = dict(network.items())
        self.made = 0

    def parameters(self, phase: str) -> list[nn.Parameter]:
        return list(self.modules[phase].parameters())

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        self.made += 1
        made = self.modules["generator"](batch["x"])
        judge = self.modules["discriminator"]
        real, fake = judge(batch["x"]), judge(made.detach())
        verdict = (functional.softplus(-real) + functional.softplus(fake)).mean()
        yield PhaseLoss(phase="discriminator", total=verdict, terms={"real": real.detach().mean().abs()})
        # Uses the discriminator as it is after its step.
        fooled = functional.softplus(-judge(made)).mean()
        yield PhaseLoss(phase="generator", total=fooled, terms={"fooled": fooled.detach()})

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        return {}


class Vectors:
    """A data set of `count` vectors, each half a second long."""

    def __init__(self, count: int) -> None:
        self.values = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
        self.utterances = [SimpleNamespace(id=str(i), duration=0.5) for i in range(count)]
        self.tokens: list[list[int]] = [[] for _ in range(count)]
        self.excluded: list[object] = []

    def __len__(self) -> int:
        return len(self.values)

    def frames(self) -> list[int]:
        return [1] * len(self)

    def batch(self, indices: Sequence[int], *, epoch: int = 0) -> Batch:
        return {"ids": [str(i) for i in indices], "x": self.values[list(indices)]}


def trainer_of(
    run: Path, *, size: int, count: int = 16, callbacks: Sequence[Callback] = (), **training: Any
) -> Trainer:
    backend, values = (
        ToyGan(),
        {"max_steps": 6, "validate_every": 99, "save_every": 99, "optim": OPTIM, **training},
    )
    info = CheckpointInfo(backend="toy-gan", backend_config={}, sample_rate=8000)
    return Trainer(
        backend,  # type: ignore[arg-type]
        train_data=Vectors(count),  # type: ignore[arg-type]
        val_data=None,
        data=DataConfig(batch_seconds=0.5 * size, max_utterances=size),
        training=TrainingConfig(log_every=1, **values),
        run=run,
        info=info,
        callbacks=callbacks,
    )


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in trainer.backend.network.state_dict().items()}


def by_hand(trainer: Trainer, steps: int) -> dict[str, Tensor]:
    """The same training in plain torch: discriminator step, then generator step through the new discriminator."""
    gan, data = ToyGan(), Vectors(16)
    generator, judge = gan.network["generator"], gan.network["discriminator"]
    optimizers = {name: build_optimizer(gan.network[name].parameters(), OPTIM) for name in gan.network}
    batches = [b for epoch in range(steps) for b in trainer.loader.sampler.epoch(epoch)][:steps]
    for step, indices in enumerate(batches):
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = OPTIM.learning_rate * rate_factor(step, trainer.steps.total, OPTIM)
        x = data.batch(indices)["x"]
        for name in ("discriminator", "generator"):
            for p in gan.network.parameters():
                p.grad = None
            if name == "discriminator":
                loss = (
                    functional.softplus(-judge(x)) + functional.softplus(judge(generator(x).detach()))
                ).mean()
            else:
                loss = functional.softplus(-judge(generator(x))).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(gan.network[name].parameters(), OPTIM.clip_norm)
            optimizers[name].step()
    return dict(gan.network.state_dict())


def test_two_phases_equal_the_steps_written_out_by_hand(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, size=4)
    trainer.fit()
    for name, tensor in by_hand(trainer, 6).items():
        torch.testing.assert_close(weights(trainer)[name], tensor, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_steps_come_as_declared_and_leave_no_gradient_in_the_other_network(
    tmp_path: Path, accumulate: int
) -> None:
    trainer = trainer_of(tmp_path, size=4, accumulate=accumulate)
    other = {"discriminator": "generator", "generator": "discriminator"}
    order: list[str] = []
    for phase, optimizer in trainer.optimizers.by_phase.items():
        plain = optimizer.step

        def step(phase: str = phase, plain: Any = plain) -> None:
            assert all(p.grad is not None for p in trainer.learner.parameters(phase))
            assert all(p.grad is None for p in trainer.learner.parameters(other[phase]))
            order.append(phase)
            plain()

        optimizer.step = step  # type: ignore[method-assign]
    trainer.fit()
    assert order == ["discriminator", "generator"] * 6


def test_the_generator_runs_once_a_batch(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, size=4)
    trainer.fit()
    assert trainer.learner.made == 6  # type: ignore[attr-defined]


def test_accumulation_equals_one_big_batch(tmp_path: Path) -> None:
    """Sixteen vectors: four batches of four per step, or one of sixteen."""
    small = trainer_of(tmp_path / "small", size=4, accumulate=4)
    big = trainer_of(tmp_path / "big", size=16)
    small.fit()
    big.fit()
    assert (small.loader.epoch, big.loader.epoch) == (6, 6)
    for name, tensor in weights(big).items():
        torch.testing.assert_close(weights(small)[name], tensor, rtol=1e-4, atol=1e-6)


def test_memory_that_runs_out_in_the_second_phase_does_not_repeat_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is that of an undisturbed run: the discriminator steps once, the generator from halves."""
    plain = trainer_of(tmp_path / "plain", size=4)
    plain.fit()
    tight = trainer_of(tmp_path / "tight", size=4)
    losses, steps = ToyGanLearner.losses, []

    def small_generator_only(self: ToyGanLearner, batch: Batch) -> Iterator[PhaseLoss]:
        for loss in losses(self, batch):
            if loss.phase == "generator" and len(batch["ids"]) > 2:
                raise torch.OutOfMemoryError("pretended")
            yield loss

    monkeypatch.setattr(ToyGanLearner, "losses", small_generator_only)
    optimizer = tight.optimizers.by_phase["discriminator"]
    step = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda: (steps.append(1), step())[1])
    tight.fit()
    assert tight.runner.parts == 2
    assert len(steps) == 6
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(tight)[name], tensor, rtol=1e-4, atol=1e-6)


def test_every_phase_is_logged_under_its_name(tmp_path: Path) -> None:
    reports: list[StepReport] = []

    class Keep(Callback):
        def stepped(self, report: StepReport) -> None:
            reports.append(report)

    trainer_of(tmp_path, size=4, callbacks=[Keep()]).fit()
    assert set(reports[0].metrics) == {
        "train/discriminator/total",
        "train/discriminator/real",
        "train/generator/total",
        "train/generator/fooled",
        "train/grad_norm/discriminator",
        "train/grad_norm/generator",
        "train/learning_rate",
    }


def test_both_optimisers_are_saved_and_resumed(tmp_path: Path) -> None:
    whole = trainer_of(tmp_path / "whole", size=4)
    whole.fit()
    first = trainer_of(tmp_path / "parts", size=4)
    stop_after(first, 3)
    first.fit()
    checkpoint = read_checkpoint(tmp_path / "parts", prefer="latest")
    assert checkpoint.info.step == 3
    second = trainer_of(tmp_path / "parts", size=4)
    second.backend.network.load_state_dict(checkpoint.weights())
    second.load_state_dict(checkpoint.training_state())
    second.fit()
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(second)[name], tensor), name


def stop_after(trainer: Trainer, step: int) -> None:
    import signal

    class Stop(Callback):
        def stepped(self, report: StepReport) -> None:
            if report.step == step:
                signal.raise_signal(signal.SIGTERM)

    trainer.callbacks.append(Stop())


def test_more_processes_than_utterances_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import Accelerator

    from amtts_core.errors import AmttsError

    monkeypatch.setattr(Accelerator, "num_processes", 4)
    with pytest.raises(AmttsError, match="3 training utterances are too few for 4 processes"):
        trainer_of(tmp_path, size=4, count=3)
