"""Weights & Biases, as an option: the numbers, figures and samples that TensorBoard gets.

`training.wandb=offline` writes into the run folder and sends nothing; `wandb sync` uploads it when somebody wants to.
Only `online` sends. Whatever prevents that (no login, no network, WANDB_MODE) is a warning and never ends a run.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from amtts_core.errors import AmttsError
from amtts_core.training.callbacks.base import Callback, StepReport, TrainingOutcome
from amtts_core.training.figures import to_image
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)
Mode = Literal["offline", "online", "disabled"]


class WandbLogger(Callback):
    """One run of the project `amtts` (or `WANDB_PROJECT`); a resumed training continues the same.

    Args:
        folder: of the training run.
        mode: "online" sends, "offline" only writes.

    Raises:
        AmttsError: wandb is not installed.
    """

    def __init__(self, folder: Path, mode: Literal["offline", "online"]) -> None:
        try:
            self._wandb: Any = importlib.import_module("wandb")
        except ImportError as missing:
            raise AmttsError(
                f"training.wandb={mode} needs the package wandb ({missing})",
                remedy="pip install 'amtts[wandb]'",
            ) from None
        self._folder, self._mode = folder, _usable_mode(self._wandb, mode)
        self._run: Any = None

    def started(self, state: RunState) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = self._init(state, self._mode)
        except self._wandb.errors.Error as error:
            logger.warning(
                "W&B cannot be reached (%s): logging offline; send it later with: wandb sync %s/wandb/offline-run-*",
                " ".join(str(error).split())[:200],
                self._folder,
            )
            self._wandb.teardown()  # its service still holds the id of the run
            self._run = self._init(state, "offline")

    def _init(self, state: RunState, mode: Mode) -> Any:
        return self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "amtts"),
            name=self._folder.resolve().name,
            dir=str(self._folder),
            mode=mode,
            id=self._id(),
            resume="allow",
            config={"backend": state.info.backend, "model": state.info.backend_config}
            | {"training": state.config.model_dump(mode="json")},
            settings=self._wandb.Settings(silent=True),
        )

    def _id(self) -> str:
        """The same for every start of this run."""
        path = self._folder / "wandb-id"
        if not path.is_file():
            path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()

    def stepped(self, report: StepReport) -> None:
        if report.log_due:
            self._run.log({**report.metrics, **report.speed, "epoch": report.epoch}, step=report.step)

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        shown = {name: self._wandb.Image(to_image(picture)) for name, picture in figures.items()}
        self._run.log({**metrics, **shown}, step=step)

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        name = f"sample/{index}"
        shown = {f"{name}/{k}": self._wandb.Image(to_image(picture)) for k, picture in figures.items()}
        self._run.log({name: self._wandb.Audio(str(path), caption=text), **shown}, step=step)

    def finished(self, outcome: TrainingOutcome) -> None:
        if self._run is not None:
            self._run.summary.update({"reason": outcome.reason, "best_step": outcome.best_step})
            self._run.finish()


def _usable_mode(wandb: Any, wanted: Literal["offline", "online"]) -> Mode:
    """`training.wandb`, as far as possible: W&B's variables may disable it, and without a login nothing is sent."""
    variable = os.environ.get("WANDB_MODE", "").lower()
    if variable == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1"):
        logger.warning("training.wandb=%s: W&B is disabled by its environment variable", wanted)
        return "disabled"
    if wanted == "offline" or variable in ("offline", "dryrun"):
        return "offline"
    login = wandb.login
    quiet = {"prompt": False} if "prompt" in inspect.signature(login).parameters else {"timeout": 1}
    try:
        logged_in = login(verify=False, **quiet)
    except wandb.errors.Error:
        logged_in = False
    if not logged_in:
        logger.warning("training.wandb=online: not logged in, so W&B logs offline. Log in with: wandb login")
        return "offline"
    return "online"
