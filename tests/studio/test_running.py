"""A studio that runs, as a program asks it: it speaks, it keeps others out, and it finds its jobs again."""

from __future__ import annotations

import time
from pathlib import Path

import gradio_client
import httpx
import numpy as np
import pytest
import soundfile
from studios import RunningStudio
from tiny_voice import make_corpus

from amtts_cli.studio.workspace import HIDDEN

pytestmark = pytest.mark.slow


@pytest.fixture
def client_of(tmp_path: Path):
    def connect(studio: RunningStudio) -> gradio_client.Client:
        return gradio_client.Client(f"{studio.url}/en/", verbose=False, download_files=str(tmp_path / "got"))

    return connect


def test_it_speaks_with_the_voice_that_comes_along_and_refuses_in_one_line(tmp_path: Path, client_of):
    workspace = tmp_path / "w"
    with RunningStudio(workspace, tmp_path / "log") as studio:
        client = client_of(studio)
        rest = ("", 1.0, 3, 0.35, 0.7, None, True, "wav")
        heard, _, notes, _ = client.predict("ሰላም ለዓለም።", "base", *rest, api_name="/speak")
        samples, rate = soundfile.read(heard)
        assert 0.5 < len(samples) / rate < 6
        assert np.sqrt(np.mean(samples**2)) > 0.01
        assert "ሰላም" in notes
        assert "<table" in notes
        for voice in ("../../x", "/etc", str(tmp_path), "absent"):
            with pytest.raises(Exception, match=r"leaves the workspace|is not in the workspace") as caught:
                client.predict("ሰላም", voice, *rest, api_name="/speak")
            assert "\n" not in str(caught.value)
        secret = tmp_path / "secret.txt"
        secret.write_text("secret")
        for path in (secret, workspace / HIDDEN / "jobs" / ".lock", workspace / ".." / "secret.txt"):
            answer = httpx.get(f"{studio.url}/en/gradio_api/file={path}")
            assert answer.status_code in (403, 404), path
            assert "secret" not in answer.text or str(secret) in answer.text


def test_an_upload_that_is_too_large_is_refused(tmp_path: Path):
    with RunningStudio(tmp_path / "w", tmp_path / "log", "--max-upload", "1") as studio:
        url = f"{studio.url}/en/gradio_api/upload"
        assert httpx.post(url, files={"files": ("x.txt", b"x" * 1000)}).status_code == 200
        refused = httpx.post(url, files={"files": ("x.txt", b"x" * (3 << 20))})
        assert refused.status_code == 413
        named = httpx.post(url, files={"files": ("../../x.txt", b"x")})
        assert named.status_code == 200
        assert Path(named.json()[0]).is_relative_to((tmp_path / "w" / HIDDEN / "files").resolve())
        assert not (tmp_path / "x.txt").exists()


def test_a_training_survives_the_studio_and_is_found_again(tmp_path: Path, client_of):
    workspace = tmp_path / "w"
    workspace.mkdir()
    make_corpus(workspace / "corpus")
    settings = {"training.max_steps": 4000, "training.sample_every": 0, "training.save_every": 4000}
    with RunningStudio(workspace, tmp_path / "log") as studio:
        client = client_of(studio)
        id = client.predict(
            "corpus", "run", "", "chatterbox-mel", "tiny", settings, api_name="/start_training"
        )
        with pytest.raises(Exception, match="is being made by job"):
            client.predict(
                "corpus", "run", "", "chatterbox-mel", "tiny", settings, api_name="/start_training"
            )
        with pytest.raises(Exception, match=r"training\.max_steps"):
            client.predict(
                "corpus",
                "r2",
                "",
                "chatterbox-mel",
                "tiny",
                {"training.max_steps": -1},
                api_name="/start_training",
            )
        _until(lambda: (workspace / "run" / "metrics.jsonl").exists(), client, id)
        studio.kill()
    with RunningStudio(workspace, tmp_path / "log2") as studio:
        client = client_of(studio)
        assert [(job["id"], job["state"]) for job in client.predict(api_name="/jobs")] == [(id, "running")]
        client.predict(id, api_name="/stop_job")
        _until(lambda: client.predict(api_name="/jobs")[0]["state"] == "stopped", client, id)
        assert list((workspace / "run" / "checkpoints").glob("step-*")), "stopping saves"


def _until(holds, client, id: str) -> None:
    until = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < until, client.predict(api_name="/jobs")
        time.sleep(0.3)
