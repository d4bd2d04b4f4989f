"""Checks of what a backend says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.config.run_config import resolve_config
from amtts_core.contract.backend import Backend
from amtts_core.contract.check import faults_of_backend, faults_of_learner
from amtts_core.errors import AmttsError
from amtts_core.preflight.subject import CheckSkipped, Finding, Subject, require
from amtts_core.tokenizers.fidel import FidelTokenizer, default_symbols
from amtts_core.tokenizers.registry import tokenizer_kinds


def declaration(subject: Subject) -> Finding:
    """The class is what its spec declares, and the spec can be shown to a user."""
    kind, spec = type(subject.backend), subject.backend.spec
    faults = [*faults_of_backend(kind), *faults_of_learner(subject.backend.learner(), spec)]
    require(not faults, "; ".join(faults))
    require(10 < len(spec.summary.strip()) < 100, f"spec.summary has {len(spec.summary)} characters")
    require(bool(spec.weights_license), "spec.weights_license is empty")
    rate = subject.backend.sample_rate
    require(8000 <= rate <= 48000, f"the sample rate is {rate} Hz, expected 8000 to 48000")
    unknown = set(spec.text.tokenizers if spec.text else ()) - set(tokenizer_kinds())
    require(not unknown, f"spec.text names unknown tokenizers: {', '.join(sorted(unknown))}")
    for key, field in spec.config.model_fields.items():
        require(bool(field.description), f"setting '{key}' has no description for `amtts config`")
    for preset in spec.presets:
        config, resolved = resolve_config({"backend": spec.name, "preset": preset})
        same = config.model_config_of(resolved.spec) == spec.config.model_validate(config.model)
        require(same, f"preset '{preset}' is not what a config file of it gives")
    return Finding(f"{len(spec.presets)} presets, as declared", float(len(spec.presets)))


def needs_a_tokenizer(subject: Subject) -> Finding:
    """A backend that learns from text is not built without a tokenizer."""
    subject.needs_text()
    try:
        type(subject.backend)(subject.backend.config, tokenizer=None)
    except AmttsError as error:
        require("tokenizer" in str(error), f"the error without a tokenizer says: {error}")
        return Finding("it is not built without a tokenizer")
    raise AssertionError("`Backend.__init__` refuses to be built without a tokenizer")


def text_tensors(subject: Subject) -> Finding:
    """Exactly the declared tensors grow with the vocabulary."""
    tokenizer, own = subject.backend.text_tokenizer, subject.backend.network.state_dict()
    declared = {tensor.tensor: tensor for tensor in subject.backend.text_tensors()}
    if tokenizer is None:
        require(not declared, f"it learns without text and declares {', '.join(declared)}")
        raise CheckSkipped("this backend learns without text")
    for name, tensor in declared.items():
        require(name in own, f"text_tensors names '{name}', and the network has no such tensor")
        rows, expected = own[name].shape[0], tokenizer.vocab_size + tensor.num_extra_rows
        require(rows == expected, f"'{name}' has {rows} rows, expected {expected}, one for each token")
        require(own[name].ndim == (1 if tensor.kind == "bias" else 2), f"'{name}' is no {tensor.kind}")
    bigger = FidelTokenizer([*default_symbols(), "ʕ"])
    smaller = FidelTokenizer(default_symbols())
    rebuild = subject.needs_rebuild()
    before = rebuild(tokenizer=smaller).network.state_dict()
    after = rebuild(tokenizer=bigger).network.state_dict()
    grown = {name for name, tensor in after.items() if tensor.shape != before[name].shape}
    require(
        grown == set(declared),
        f"text_tensors declares {_names(declared)}; with one more token {_names(grown)} grow",
    )
    return Finding(f"{_names(declared)} follow the vocabulary", float(len(declared)))


def speaker_tables(subject: Subject) -> Finding:
    """Exactly the declared tables grow with the speakers, and an unknown speaker is an error."""
    rebuild, spec = subject.needs_rebuild(), subject.backend.spec
    two, three = (rebuild(speakers=names) for names in (("a", "b"), ("a", "b", "c")))
    before, after = two.network.state_dict(), three.network.state_dict()
    grown = {name for name, tensor in after.items() if tensor.shape != before[name].shape}
    tables = spec.speakers.tables if spec.speakers else ()
    declared = [name for name in tables if name in after]  # the settings decide which of them there are
    require(
        grown == set(declared) and bool(declared) == bool(tables),
        f"spec.speakers declares {_names(tables)}; with one more speaker {_names(grown)} grow",
    )
    for name in declared:
        rows = len(before[name]), len(after[name])
        require(rows == (2, 3), f"'{name}' has {rows[0]} rows for two speakers, {rows[1]} for three")
    try:
        two.speakers.id_of("zzz")
    except AmttsError:
        return Finding(f"{_names(declared)} follow the speakers", float(len(declared)))
    raise AssertionError("`SpeakerTable.id_of` refuses unknown names")


def seed(subject: Subject) -> Finding:
    """The seed decides the initial weights."""
    rebuild = subject.needs_rebuild()

    def weights(number: int) -> dict[str, Tensor]:
        torch.manual_seed(number)
        return dict(rebuild().network.state_dict())

    first, again, other = weights(7), weights(7), weights(8)
    for name, tensor in first.items():
        require(torch.equal(tensor, again[name]), f"'{name}' of the same seed differs")
    require(
        any(not torch.equal(tensor, other[name]) for name, tensor in first.items()),
        "networks of different seeds are equal",
    )
    return Finding("equal seeds give equal weights, different ones do not")


def feature_key(subject: Subject) -> Finding:
    """Two backends of the same settings share a feature key; one of other sound settings does not."""
    backend = subject.backend
    again = type(backend)(
        backend.config.model_copy(deep=True), tokenizer=backend.text_tokenizer, speakers=backend.speakers
    )
    key = backend.feature_key()
    require(key == again.feature_key(), "two backends of the same settings have different feature keys")
    values = backend.config.model_dump()
    changed = _with_other_mels(values) if backend.spec.learns_from == "mel" else None
    if changed is None:
        return Finding("equal settings share a key")
    other = backend.spec.config.model_validate(changed)
    rebuilt = type(backend)(other, tokenizer=backend.text_tokenizer, speakers=backend.speakers)
    require(key != rebuilt.feature_key(), "another `mel.fmax` has the same feature key")
    return Finding("equal settings share a key, other mel settings have another")


def _with_other_mels(values: Mapping[str, Any]) -> dict[str, Any] | None:
    mel = values.get("mel")
    if not isinstance(mel, dict) or not mel.get("fmax"):
        return None
    return {**values, "mel": {**mel, "fmax": 0.9 * mel["fmax"]}}


def codec_is_quiet(subject: Subject) -> Finding:
    """Opening the codec draws no random number, so that a training in which it is opened goes on as before."""
    declared = subject.backend.spec.speech_codes
    if declared is None:
        raise CheckSkipped("learns no codes of a codec")
    before = torch.get_rng_state()
    declared.of(subject.backend).speech_codec()
    require(torch.equal(torch.get_rng_state(), before), "opening the codec draws random numbers")
    return Finding("opening the codec draws no random number")


def reference_bundle(subject: Subject) -> Finding:
    """A missing bundle of reference numbers is one line."""
    declared = subject.backend.spec.reference_checks
    if declared is None:
        raise CheckSkipped("declares no reference checks")
    kind: type[Backend] = type(subject.backend)
    check: Callable[[Path], Any] = declared.of(kind).reference_checks
    try:
        check(Path("no-such-bundle"))
    except AmttsError as error:
        require("\n" not in str(error), "the error for a missing bundle has several lines")
        return Finding("a missing bundle is one line")
    require(False, "a bundle that does not exist passes")
    raise AssertionError


def _names(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "no tensor"
