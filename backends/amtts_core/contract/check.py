"""Whether a backend's class is what its spec declares: checked once, when it is loaded from its entry point."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import Capability
from amtts_core.contract.check_published import faults_of_published
from amtts_core.contract.learner import Learner
from amtts_core.errors import nearest

_OVERRIDABLE = ("text_tensors", "feature_key", "num_frames", "check_example", "initialize")


def faults_of_backend(loaded: object) -> list[str]:
    """What is wrong with a class as a backend, a sentence each; empty for a sound one."""
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        return [f"{loaded!r} is not a subclass of amtts_core.contract.backend.Backend"]
    spec = getattr(loaded, "spec", None)
    if not isinstance(spec, BackendSpec):
        return [f"{loaded.__name__} has no `spec` of type BackendSpec"]
    return [
        *(f"{loaded.__name__} does not define '{name}'" for name in sorted(loaded.__abstractmethods__)),
        *_preset_faults(spec),
        *faults_of_published(spec.published, backend=spec.name),
        *_capability_faults(loaded, spec),
        *_near_misses(loaded, spec),
    ]


def faults_of_learner(learner: object, spec: BackendSpec[Any]) -> list[str]:
    """What a learner lacks of the capabilities that its backend declares for it."""
    declared = [capability for capability in _declared(spec).values() if capability.on_learner]
    faults = [fault for capability in declared for fault in _method_faults(type(learner), capability)]
    kinds = {type(capability) for capability in declared}
    return faults + [
        f"{type(learner).__name__} defines '{name}', and the spec of '{spec.name}' does not declare {kind.__name__}"
        for kind in _all_capabilities()
        if kind.on_learner and kind not in kinds
        for name in _methods(kind.Methods)
        if hasattr(learner, name)
    ]


def checked_learner(backend: Backend[Any]) -> Learner:
    """The backend's learner.

    Raises:
        TypeError: it is not what the backend's spec declares.
    """
    learner = backend.learner()
    if faults := faults_of_learner(learner, backend.spec):
        raise TypeError("; ".join(faults))
    return learner


def _preset_faults(spec: BackendSpec[Any]) -> Iterator[str]:
    if not spec.presets:
        yield "its spec has no preset"
    for name, values in spec.presets.items():
        try:
            spec.config.model_validate(values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            yield f"preset '{name}' does not fit {spec.config.__name__}: {where}: {fault['msg']}"


def _declared(spec: BackendSpec[Any]) -> dict[str, Capability[Any]]:
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}
    return {name: value for name, value in values.items() if isinstance(value, Capability)}


def _all_capabilities() -> list[type[Capability[Any]]]:
    return Capability.__subclasses__()


def _capability_faults(loaded: type, spec: BackendSpec[Any]) -> Iterator[str]:
    declared = _declared(spec)
    for capability in declared.values():
        if not capability.on_learner:
            yield from _method_faults(loaded, capability)
    kinds = {type(capability) for capability in declared.values()}
    for kind in _all_capabilities():
        if kind in kinds or kind.on_learner:
            continue
        for name in _methods(kind.Methods):
            if hasattr(loaded, name):
                yield f"{loaded.__name__} defines '{name}', and its spec does not declare {kind.__name__}"


def _methods(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def _method_faults(loaded: type, capability: Capability[Any]) -> Iterator[str]:
    kind = type(capability).__name__
    for name in _methods(capability.Methods):
        found = inspect.getattr_static(loaded, name, None)
        if found is None:
            near = nearest(name, [other for other in vars(loaded) if not other.startswith("_")])
            yield f"{loaded.__name__} declares {kind} and does not define '{name}'{near}"
            continue
        wanted = inspect.getattr_static(capability.Methods, name)
        if isinstance(wanted, classmethod) != isinstance(found, classmethod):
            expected = "a class method" if isinstance(wanted, classmethod) else "a method of the instance"
            yield f"{loaded.__name__}.{name} has to be {expected} (declared by {kind})"
            continue
        ours, theirs = _parameters(wanted), _parameters(found)
        if ours != theirs:
            yield (
                f"{loaded.__name__}.{name} has the parameters ({', '.join(theirs)}), {kind} expects ({', '.join(ours)})"
            )


def _parameters(method: Any) -> list[str]:
    """Names with their kind; parameters with a default beyond the protocol's are the class's own business."""
    function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
    found = inspect.signature(function).parameters.values()
    return [
        ("*" if parameter.kind is parameter.KEYWORD_ONLY else "") + parameter.name
        for parameter in found
        if parameter.default is parameter.empty
    ]


def _near_misses(loaded: type, spec: BackendSpec[Any]) -> Iterator[str]:
    """Public methods that look like a misspelled optional member, which would never be called."""
    own = [name for kind in loaded.__mro__ if kind.__module__ != Backend.__module__ for name in vars(kind)]
    for name in own:
        if name.startswith("_") or hasattr(Backend, name):
            continue
        close = nearest(name, _OVERRIDABLE, cutoff=0.85)
        if close:
            yield f"{loaded.__name__} defines '{name}', which the contract does not know{close}"
