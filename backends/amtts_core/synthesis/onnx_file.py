"""Networks as ONNX files: written, given metadata, run by onnxruntime and compared with torch.

Needs the packages onnx (to write the metadata) and onnxruntime (to run what was written).
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amtts_core.errors import AmttsError, CheckpointError

OPSET = 17


def require(*packages: str) -> None:
    """Refuses, with the command that mends it, where a package is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        raise AmttsError(
            f"this export needs the package{'s' * (len(missing) > 1)} {' and '.join(missing)}",
            remedy=f"pip install {' '.join(missing)}, or install amtts[export]",
        )


def write_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    file: Path,
    *,
    names: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    metadata: Mapping[str, object],
) -> None:
    """Traces a module into a file.

    Args:
        module: on the CPU; is left in evaluation mode. Its output is called `y`.
        inputs: an example.
        file: to write.
        names: of the inputs.
        axes: axes of inputs and output whose length changes.
        metadata: kept in the file.

    Raises:
        AmttsError: a package is missing or the file cannot be written.
    """
    require("onnx", "onnxruntime")
    import onnx  # type: ignore[import-not-found,unused-ignore]

    module.eval()  # torch puts back the mode that it finds, into every part: a wrapper just made would train them
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, about shapes that the comparison covers
            torch.onnx.export(
                module,
                tuple(inputs),
                str(file),
                dynamo=False,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["y"],
                dynamic_axes={name: dict(given) for name, given in axes.items()},
            )
        written = onnx.load(str(file))
        for key, value in metadata.items():
            written.metadata_props.add(key=key, value=str(value))
        onnx.save(written, str(file))
    except OSError as error:
        raise AmttsError(f"{file} cannot be written: {error.strerror or error}") from None


def run_onnx(file: Path, inputs: Mapping[str, Tensor]) -> Tensor:
    """The first output of a file, by onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    made: Any = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
    return torch.from_numpy(made)


def require_same(found: Tensor, expected: Tensor, *, what: str, who: str, error: float) -> None:
    """Refuses a waveform that is not what torch makes.

    Args:
        found: of the runtime.
        expected: of torch, any shape with as many samples.
        what: was written, for the message.
        who: the runtime, for the message.
        error: root of the mean squared difference over that of the signal, at most.

    Raises:
        CheckpointError: another length, or farther apart.
    """
    found, expected = found.reshape(-1), expected.reshape(-1)
    if len(found) != len(expected):
        raise CheckpointError(
            f"{what} was written, but {who} makes {len(found)} samples of it, torch {len(expected)}"
        )
    far = float((found - expected).square().mean().sqrt() / (expected.square().mean().sqrt() + 1e-9))
    if not far <= error:
        raise CheckpointError(
            f"{what} was written, but {who} speaks it differently (by {far:.1e} of the signal)"
        )
