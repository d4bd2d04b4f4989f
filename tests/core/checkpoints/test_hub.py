"""Voices on the hub: fetched by name, safe formats only, pushed with a card; the hub is replaced, nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from huggingface_hub.errors import LocalEntryNotFoundError
from tiny_voice import tiny_voice

import amtts
from amtts_core.checkpoints.hub import local_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(tmp_path_factory.mktemp("voice"))[1]


def test_a_voice_is_fetched_by_name_and_revision(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("export", "--checkpoint", run, "--format", "voice", "--out", tmp_path / "v").code == 0
    asked: list[dict[str, Any]] = []

    def snapshot(repository: str, **how: Any) -> str:
        asked.append({"repository": repository, **how})
        return str(tmp_path / "v")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.chdir(tmp_path)
    speech = amtts.load("some/voice").speak("ሰላም።")
    assert speech.samples.any()
    local_checkpoint("some/voice@v1.0")
    assert [(a["repository"], a["revision"]) for a in asked] == [("some/voice", None), ("some/voice", "v1.0")]
    assert {"*.bin", "*.pt", "*.pkl"} <= set(asked[0]["ignore_patterns"])
    assert not any(pattern.endswith((".bin", ".pt", ".pkl")) for pattern in asked[0]["allow_patterns"])
    done = call("info", "some/voice", "--json")
    assert done.json()["backend"] == "chatterbox-mel"
    assert not done.json()["resumable"]


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    monkeypatch.chdir(tmp_path)
    call("synthesize", "--checkpoint", "no/voice", "ሰላም", "--out", tmp_path / "a.wav").refused(
        "no/voice does not exist", "hub cannot be reached"
    )


def test_pushing_without_a_token_only_lists(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    done = call("push", "my/voice", "--checkpoint", run)
    assert done.code == 0, done.err
    assert "model.safetensors" in done.out
    assert "training." not in done.out
    assert "nothing was sent" in done.out
    call("push", "voice", "--checkpoint", run).refused("is no repository")


def test_a_pushed_voice_has_a_card(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {}

    class Api:
        def __init__(self, token: str) -> None:
            sent["token"] = token

        def create_repo(self, name: str, **how: Any) -> None:
            sent["repo"] = (name, how["private"])

        def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> Any:
            sent["card"] = (folder_path / "README.md").read_text(encoding="utf-8")
            sent["files"] = sorted(p.name for p in folder_path.rglob("*") if p.is_file())
            return type("Commit", (), {"oid": "0123456789abcdef"})

    monkeypatch.setattr("huggingface_hub.get_token", lambda: "secret")
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    done = call("push", "my/voice", "--checkpoint", run)
    assert done.code == 0, done.err
    assert sent["repo"] == ("my/voice", True)
    assert sent["card"].startswith("---\npipeline_tag: text-to-speech\n")
    assert "Consent of the speakers" in sent["card"]
    assert "sample.wav" in sent["files"]
    assert "secret" not in done.out + done.err


def test_info_and_schema(run: Path) -> None:
    values = call("info", run, "--json").json()
    assert (values["backend"], values["language"], values["resumable"]) == ("chatterbox-mel", "am", True)
    assert "chatterbox-mel" in call("info", run).out
    schema = json.loads(call("config", "--backend", "chatterbox-mel", "--schema").out)
    assert schema["properties"]["backend"]["enum"] == ["chatterbox-mel"]
    assert "mel" in schema["properties"]["model"]["properties"]
    assert "vits" in json.loads(call("config", "--schema").out)["properties"]["backend"]["enum"]
