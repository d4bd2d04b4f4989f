"""Speaking through a running server with the standard library alone."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import soundfile
from command_line import call
from served import Server, served

from amtts_cli.remote import RemoteVoice, remote_voice
from amtts_core.errors import AmttsError

TEXT = "ሰላም ለዓለም።"


def test_the_file_is_that_of_the_command_line(server: Server, run: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here.wav", tmp_path / "new" / "there.wav"
    assert call("synthesize", "--checkpoint", run, "--out", here, "--seed", 4, TEXT).code == 0
    RemoteVoice(url=server.url).save(TEXT, there, seed=4)
    assert there.read_bytes() == here.read_bytes()
    streamed = b"".join(RemoteVoice(url=server.url + "/", voice="selam").stream(TEXT, seed=4))
    assert soundfile.read(io.BytesIO(streamed))[0].tolist() == soundfile.read(here)[0].tolist()


def test_synthesize_speaks_through_a_server(server: Server, run: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here.wav", tmp_path / "there.wav"
    assert call("synthesize", "--checkpoint", run, "--out", here, TEXT).code == 0
    done = call("synthesize", "--server", server.url, "--voice", "selam", "--out", there, TEXT)
    assert done.code == 0, done.err
    assert there.read_bytes() == here.read_bytes()
    for arguments, told in (
        (("--server", server.url, "--checkpoint", run), "give one of them"),
        ((), "give one of them"),
        (("--server", server.url, "--device", "cuda"), "--device needs a voice on this machine"),
        (("--server", server.url, "--voice", "nobody"), "does not exist"),
    ):
        refused = call("synthesize", *arguments, "--out", tmp_path / "no.wav", TEXT)
        assert refused.code == 2, refused.err
        assert told in refused.err
    assert not (tmp_path / "no.wav").exists()


def test_refusals_are_told_in_one_line(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.wav"
    with served(run, keys={"radio": "r" * 32}) as server:
        monkeypatch.setenv("AMTTS_API_KEY", "r" * 32)
        voice = remote_voice(server.url, "")
        for change, told in (({"speaker": "x"}, "x"), ({"speed": 9.0}, "speed")):
            with pytest.raises(AmttsError, match=told):
                voice.save(TEXT, target, **change)  # type: ignore[arg-type]
        with pytest.raises(AmttsError, match="cannot write"):
            voice.save(TEXT, tmp_path / "a.xyz")
        monkeypatch.delenv("AMTTS_API_KEY")
        with pytest.raises(AmttsError, match="Set AMTTS_API_KEY"):
            remote_voice(server.url, "").save(TEXT, target)
    with pytest.raises(AmttsError, match="does not answer"):
        voice.save(TEXT, target)
    with pytest.raises(AmttsError, match="expected http://"):
        remote_voice("file:///etc/passwd", "")
    assert not list(tmp_path.iterdir())
