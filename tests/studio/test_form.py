"""The form knows every setting of every backend as pydantic does."""

from __future__ import annotations

import pytest

from amtts_cli.studio import form
from amtts_core.config.run_config import resolve_config
from amtts_core.config.yaml_files import parse_assignments
from amtts_core.contract.registry import backend_names
from amtts_core.errors import ConfigError


@pytest.mark.parametrize("backend", backend_names())
def test_each_setting_is_there_once_with_its_meaning_and_unchanged_by_itself(backend: str):
    fields = form.fields_of(*resolve_config({"backend": backend}))
    paths = [field.path for field in fields]
    assert len(paths) == len(set(paths))
    assert set(form.ESSENTIAL) <= set(paths)
    assert all(field.description for field in fields if field.path.startswith(("training.", "data.")))
    assert form.changed(fields, [field.shown for field in fields]) == {}
    assert form.changed(fields, [None] * len(fields)) == {}


def test_limits_and_choices_are_those_of_the_settings():
    fields = {field.path: field for field in form.fields_of(*resolve_config({"backend": "chatterbox-mel"}))}
    assert fields["training.max_steps"].limits == "≥ 0"
    assert fields["training.optim.final_ratio"].limits == "≥ 0, ≤ 1"
    assert fields["training.precision"].choices == ("fp32", "bf16", "fp16")
    assert fields["training.tensorboard"].input == "switch"


def test_what_was_changed_reaches_the_command_line_and_back():
    fields = form.fields_of(*resolve_config({"backend": "chatterbox-mel"}))
    wanted = {
        "training.max_steps": 30,
        "training.optim.learning_rate": 0.0005,
        "training.precision": "bf16",
        "training.tensorboard": False,
        "training.sample_texts": ["ሰላም = ዓለም", "two: words"],
    }
    given = [
        '["ሰላም = ዓለም", "two: words"]'
        if field.path == "training.sample_texts"
        else float(wanted[field.path])
        if field.path == "training.max_steps"
        else wanted.get(field.path, field.shown)
        for field in fields
    ]
    changed = form.changed(fields, given)
    assert changed == wanted
    words = form.assignments(changed)
    assert parse_assignments(words[1::2]) == form.nested(wanted)
    assert words[::2] == ["--set"] * len(wanted)


def test_all_faults_are_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve_config(
            {"backend": "chatterbox-mel"},
            overrides=form.nested({"training.max_steps": -1, "training.precision": "fp8", "data.x": 1}),
        )
    found = form.faults(caught.value)
    assert len(found) == 3
    assert [fault.split(":")[0] for fault in sorted(found)] == [
        "data.x",
        "training.max_steps",
        "training.precision",
    ]


def test_a_value_that_is_no_yaml_is_told_with_its_key():
    fields = form.fields_of(*resolve_config({"backend": "chatterbox-mel"}))
    given = ['["open' if field.path == "training.sample_texts" else None for field in fields]
    with pytest.raises(ConfigError, match=r"training\.sample_texts"):
        form.changed(fields, given)
