"""What this machine and installation are: what a report of a fault has to say, and what is missing for which work."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

EXTRAS: dict[str, tuple[str, ...]] = {
    "server": ("fastapi", "uvicorn", "websockets", "prometheus_client", "wyoming", "av"),
    "evaluate": ("jiwer", "rapidfuzz", "speechmos", "onnxruntime"),
    "export": ("onnx", "onnxruntime"),
    "import": ("python_calamine", "praatio", "pysubs2", "pyarrow"),
    "lora": ("peft",),
    "video": ("av",),
    "parquet": ("pyarrow",),
    "demo": ("espeakng_loader",),
    "ray": ("ray",),
    "studio": ("gradio",),
    "wandb": ("wandb",),
    "descript": ("dac", "torchaudio"),
}
"""Extra of the distribution -> modules that it brings."""


@dataclass(frozen=True)
class Extra:
    """An optional part: its name, what is missing of it, and the command that installs it."""

    name: str
    missing: tuple[str, ...]
    install: str


@dataclass(frozen=True)
class Machine:
    """The machine and what is installed.

    Attributes:
        amtts, python, system, torch: versions; torch with its build (+cpu, +cu128).
        cores, threads: of the processor, and those that torch uses.
        memory, disk_free: bytes; the disk is that of the working folder.
        gpus: name and memory of each; empty without.
        ffmpeg, espeak: paths, empty where absent. Recordings are read without ffmpeg.
        extras: optional parts.
        base_voice: "ok", or what is wrong with the voice that comes along.
    """

    amtts: str
    python: str
    system: str
    torch: str
    cores: int
    threads: int
    memory: int
    disk_free: int
    gpus: tuple[str, ...]
    ffmpeg: str
    espeak: str
    extras: tuple[Extra, ...]
    base_voice: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def machine() -> Machine:
    """Looks at everything; changes nothing and asks no network."""
    from importlib.metadata import version

    import psutil
    import torch

    gpus = []
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        gpus.append(f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    return Machine(
        amtts=version("amtts"),
        python=f"{platform.python_version()} at {sys.executable}",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        torch=str(torch.__version__),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory=psutil.virtual_memory().total,
        disk_free=shutil.disk_usage(Path.cwd()).free,
        gpus=tuple(gpus),
        ffmpeg=shutil.which("ffmpeg") or "",
        espeak=shutil.which("espeak-ng") or _package("espeakng_loader"),
        extras=tuple(map(_extra, EXTRAS)),
        base_voice=_base_voice(),
    )


def _package(name: str) -> str:
    return f"package {name}" if importlib.util.find_spec(name) else ""


def _extra(name: str) -> Extra:
    missing = tuple(module for module in EXTRAS[name] if importlib.util.find_spec(module) is None)
    return Extra(name, missing, f"pip install 'amtts[{name}]'" if missing else "")


def _base_voice() -> str:
    from amtts_core.checkpoints.folders import damage
    from amtts_core.checkpoints.shipped import shipped_checkpoint

    folder = shipped_checkpoint(Path("base"))
    if folder is None:
        return "absent from this installation"
    return damage(folder, resumable=False) or "ok"
