"""Run configuration: validated all at once, unknown keys refused with the nearest name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from amtts_core.config.near_misses import with_hints
from amtts_core.config.sections import DataConfig, TrainingConfig
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.registry import backend_names, get_backend
from amtts_core.errors import ConfigError, nearest
from amtts_core.settings import Settings, faults_of, merged, shown


class RunConfig(Settings):
    """All of a run: which backend, its network, the data and the loop."""

    backend: str = Field(description="name of the backend, see `amtts backends`")
    preset: str = Field("", description="named size of the network; empty takes the backend's first")
    model: dict[str, Any] = Field(default_factory=dict, description="settings of the network")
    data: DataConfig = Field(default_factory=DataConfig, description="batches")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="the loop")

    def model_config_of(self, spec: BackendSpec) -> Any:
        """The validated network settings."""
        return spec.config.model_validate(self.model)


def resolve_config(
    values: Mapping[str, Any], *, overrides: Mapping[str, Any] | None = None, source: str = "configuration"
) -> tuple[RunConfig, type[Backend]]:
    """Fills in the backend's defaults and preset and validates everything at once.

    Args:
        values: as read from a file; may be partial.
        overrides: nested values that win over `values` (command-line options).
        source: named in errors.

    Raises:
        ConfigError: lists every fault, an unknown backend among them.
        AmttsError: the backend cannot be imported.
    """
    values = merged(values, overrides or {})
    backend, faults = _chosen_backend(values)
    if backend is not None:
        values, preset_faults = _with_defaults(values, backend.spec)
        faults += preset_faults
    faults += (fault for fault in faults_of(RunConfig, values) if not fault.startswith("backend:"))
    if backend is not None and isinstance(values["model"], Mapping):
        faults += faults_of(backend.spec.config, values["model"], prefix="model.")
    if faults or backend is None:
        sections: list[tuple[str, type[BaseModel]]] = [("", RunConfig)]
        sections += [("model.", backend.spec.config)] if backend is not None else []
        faults = with_hints(faults, sections)
        count = f"{len(faults)} error{'s' * (len(faults) > 1)}"
        remedy = f"Valid keys: amtts config --backend {backend.spec.name if backend else 'NAME'}"
        raise ConfigError(f"{source}: {count}: " + "; ".join(faults), remedy=remedy)
    values["model"] = backend.spec.config.model_validate(values["model"]).model_dump(mode="json")
    return RunConfig.model_validate(values), backend


def _chosen_backend(values: Mapping[str, Any]) -> tuple[type[Backend] | None, list[str]]:
    """The backend that `values` name, or the fault that hides it."""
    name = values.get("backend")
    if not isinstance(name, str) or not name:
        got = f", got {shown(name)}" if name else ""
        return None, [f"backend: missing{got}; installed: {', '.join(backend_names()) or 'none'}"]
    if name not in backend_names():
        known = backend_names()
        return None, [
            f"backend: unknown '{name}'{nearest(name, known)}; installed: {', '.join(known) or 'none'}"
        ]
    return get_backend(name), []


def _with_defaults(values: Mapping[str, Any], spec: BackendSpec) -> tuple[dict[str, Any], list[str]]:
    """`values` over preset and training defaults. A wrong preset is a fault; the first stands in for it."""
    first = next(iter(spec.presets))
    preset, faults = values.get("preset") or first, []
    if not isinstance(preset, str) or preset not in spec.presets:
        known = ", ".join(spec.presets)
        faults.append(f"preset: unknown {shown(preset)}{nearest(str(preset), spec.presets)}; known: {known}")
        preset = first
    defaults = {
        "model": spec.presets[preset],
        "training": spec.training_defaults.get("training", {}),
        "data": spec.training_defaults.get("data", {}),
    }
    return merged(defaults, {**values, "preset": preset}), faults


def config_schema(backend: str = "") -> dict[str, Any]:
    """The JSON Schema of a settings file, for editors.

    Args:
        backend: whose network settings stand under `model`; empty leaves them open.

    Raises:
        AmttsError: an unknown backend.
    """
    schema = RunConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["backend"]["enum"] = [backend] if backend else backend_names()
    if backend:
        spec = get_backend(backend).spec
        own = spec.config.model_json_schema(ref_template="#/$defs/{model}")
        schema["$defs"] = {**schema.get("$defs", {}), **own.pop("$defs", {})}
        schema["properties"]["model"] = own
        schema["properties"]["preset"]["enum"] = ["", *spec.presets]
    return schema
