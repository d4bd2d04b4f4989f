"""Configuration: defaults filled in, every fault told at once, unknown keys refused with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.config.yaml_files import commented_yaml, parse_assignments, read_config_file
from amtts_core.contract.registry import list_backends
from amtts_core.errors import ConfigError
from amtts_core.settings import merged


def test_defaults_come_from_preset_backend_and_core(toy: str) -> None:
    config, backend = resolve_config({"backend": toy})
    assert backend.spec.name == toy
    assert (config.preset, config.model) == ("tiny", {"width": 8, "dropout": 0.1})
    assert (config.training.max_steps, config.training.optim.learning_rate) == (7, 0.5)
    assert config.training.optim.betas == (0.9, 0.98), "the rest of a section keeps the core's defaults"
    assert config.data.batch_seconds == 11


def test_file_wins_over_preset_and_overrides_win_over_the_file(toy: str) -> None:
    values = {"backend": toy, "preset": "wide", "model": {"dropout": 0.2}, "training": {"max_steps": 9}}
    config, _ = resolve_config(values, overrides={"training": {"max_steps": 10}})
    assert config.model == {"width": 64, "dropout": 0.2}
    assert config.training.max_steps == 10
    assert values["training"] == {"max_steps": 9}, "the caller's values are left alone"


def test_every_fault_comes_at_once(toy: str) -> None:
    values = {
        "backend": toy,
        "preset": "wid",
        "modle": {},
        "model": {"widht": 3, "dropout": 2},
        "data": {"batch_seconds": 0},
        "training": {"max_step": 5, "precision": "int4", "optim": {"learning_rat": 1}},
    }
    with pytest.raises(ConfigError) as caught:
        resolve_config(values, source="run.yaml")
    message = str(caught.value)
    assert message.startswith("run.yaml: 8 errors: ")
    for expected in (
        "preset: unknown \"wid\" (did you mean 'wide'?); known: tiny, wide",
        "modle: unknown key (did you mean 'model'?)",
        "model.widht: unknown key (did you mean 'width'?)",
        "model.dropout: Input should be less than 1, got 2",
        "data.batch_seconds: Input should be greater than 0, got 0",
        "training.max_step: unknown key (did you mean 'max_steps'?)",
        "training.precision: Input should be 'fp32', 'bf16' or 'fp16', got \"int4\"",
        "training.optim.learning_rat: unknown key (did you mean 'learning_rate'?)",
    ):
        assert expected in message
    assert message.endswith(f"Valid keys: amtts config --backend {toy}")


def test_an_unknown_backend_does_not_hide_the_other_faults(toy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config({"backend": "toi", "training": {"seeed": 1}})
    assert "backend: unknown 'toi' (did you mean 'toy'?)" in str(caught.value)
    assert "training.seeed: unknown key (did you mean 'seed'?)" in str(caught.value)


@pytest.mark.parametrize("values", [{}, {"backend": ""}, {"backend": None}, {"backend": 3}])
def test_a_missing_backend(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"1 error: backend: missing.*amtts config --backend NAME"):
        resolve_config(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"preset": ["wide"]}, 'preset: unknown ["wide"]'),
        ({"model": None}, "model: Input should be a valid dictionary, got null"),
        ({"model": 5}, "model: Input should be a valid dictionary, got 5"),
        (
            {"training": "fast"},
            'training: Input should be a valid dictionary or instance of TrainingConfig, got "fast"',
        ),
        ({"training": {"optim": []}}, "training.optim: Input should be"),
        ({1: 2}, "1: "),
        (
            {"data": {"cache": yaml.safe_load("2024-01-02")}},
            "data.cache: Input should be a valid string, got 2024-01-02",
        ),
        ({"training": {"precision": "ሰላም"}}, 'got "ሰላም"'),
    ],
)
def test_odd_values_are_faults_and_not_crashes(toy: str, values: dict[object, object], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config({"backend": toy, **values})  # type: ignore[dict-item]
    assert expected in str(caught.value)
    assert "1 error: " in str(caught.value)


def test_the_printed_configuration_reads_back_as_itself(toy: str) -> None:
    names = [entry.name for entry in list_backends() if entry.spec is not None]
    assert toy in names
    for name in names:
        config, backend = resolve_config({"backend": name})
        text = commented_yaml(config, backend)
        assert resolve_config(yaml.safe_load(text))[0] == config, name


def test_every_printed_key_carries_its_meaning(toy: str) -> None:
    for name in [entry.name for entry in list_backends() if entry.spec is not None]:
        for line in commented_yaml(*resolve_config({"backend": name})).splitlines():
            assert "#" in line, f"{name}: {line}: no description"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "is not YAML"),
        ("a: 2024-13-45", "is not YAML"),
        ("- 1", "expected keys and values, found list"),
        ("", "is empty"),
        ("ha ha", "expected keys and values, found str"),
        ("!!python/object:os.system {}", "is not YAML"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        read_config_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_bytes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory\. Make one with: amtts config"):
        read_config_file(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_config_file(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config_file(tmp_path / "bytes.yaml")


def test_assignments_nest_and_keep_yaml_types() -> None:
    given = [
        "training.max_steps=10",
        "training.optim.learning_rate=1e-3",
        "data.cache=x=y",
        "training.betas=[1, 2]",
    ]
    assert parse_assignments(given) == {
        "training": {"max_steps": 10, "optim": {"learning_rate": "1e-3"}, "betas": [1, 2]},
        "data": {"cache": "x=y"},
    }


def test_a_number_written_with_an_exponent_is_a_number(toy: str) -> None:
    config, _ = resolve_config(
        {"backend": toy}, overrides=parse_assignments(["training.optim.learning_rate=1e-3"])
    )
    assert config.training.optim.learning_rate == 0.001


@pytest.mark.parametrize("item", ["max_steps", "=3", "a=[1", "a=2024-13-45"])
def test_bad_assignments(item: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([item])


def test_sections_have_no_undescribed_setting() -> None:
    for name, field in RunConfig.model_fields.items():
        assert field.description, name


def test_a_section_of_another_kind_replaces_the_old_one() -> None:
    base = {"head": {"kind": "semantic", "num_codes": 9}, "size": {"a": 1, "b": 2}}
    over = {"head": {"kind": "dac", "num_codebooks": 4}, "size": {"a": 3}}
    assert merged(base, over) == {"head": {"kind": "dac", "num_codebooks": 4}, "size": {"a": 3, "b": 2}}
    same = merged(base, {"head": {"kind": "semantic", "stop": 8}})
    assert same["head"] == {"kind": "semantic", "num_codes": 9, "stop": 8}
    assert merged(base, {"head": {"stop": 8}})["head"] == {"kind": "semantic", "num_codes": 9, "stop": 8}
