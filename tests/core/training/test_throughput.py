"""What a run says about its speed, and when it says nothing about the GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_voice import train_tiny

from amtts_core.training import throughput
from amtts_core.training.callbacks.base import Callback, StepReport


def test_speeds_are_logged_and_add_up(corpus: Path, tmp_path: Path) -> None:
    reports: list[StepReport] = []

    class Keep(Callback):
        def stepped(self, report: StepReport) -> None:
            reports.append(report)

    training = {"max_steps": 0, "max_epochs": 1, "log_every": 2}
    outcome = train_tiny(corpus, tmp_path / "run", callbacks=[Keep()], training=training).outcome
    due = [report for report in reports if report.log_due]
    assert [bool(report.speed) for report in reports] == [report.log_due for report in reports]
    for speed in [*(report.speed for report in due), outcome.speed]:
        assert "speed/mfu" not in speed, "nobody knows the peak of a CPU"
        assert min(speed["speed/utterances_per_second"], speed["speed/tokens_per_second"]) > 0
        assert 0 <= speed["speed/data_wait_share"] < 1
    # An epoch is seen as it was planned: its padding is the plan's, its speech that of twelve utterances.
    assert outcome.speed["speed/padding_share"] < 0.2
    learning = 12 / outcome.speed["speed/utterances_per_second"]
    assert 0 < learning < outcome.seconds
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if row["kind"] == "step"]
    assert [row["speed/tokens_per_second"] for row in logged] == [
        r.speed["speed/tokens_per_second"] for r in due
    ]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA L40S", 362e12),
        ("Other", None),
    ],
)
def test_the_peak_of_a_gpu_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, peak: float | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    device = torch.device("cuda")
    assert throughput.peak_flops(device, "bf16") == peak
    assert throughput.peak_flops(device, "fp32") is None, "the peaks are those of 16 bits"
    assert throughput.peak_flops(torch.device("cpu"), "bf16") is None
