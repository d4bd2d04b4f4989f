"""A second run, a lost file or a kill changes nothing about the result, and done work is not done again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from prepared import add_hostile, contents, rejected, rows, run
from recordings import SENTENCES, add_line, make_corpus, speech, write_wav

from amtts_core.corpus import process
from amtts_core.corpus.prepare import PrepareProgress
from amtts_core.corpus.settings import PrepareSettings


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the clips that are decoded."""
    seen: list[str] = []
    real = process.ClipProcessor.__call__

    def spy(self: process.ClipProcessor, task: process.ClipTask) -> process.Outcome:
        seen.append(task.id)
        return real(self, task)

    monkeypatch.setattr(process.ClipProcessor, "__call__", spy)
    return seen


def test_a_second_run_does_only_what_is_new(tmp_path: Path, counted: list[str]):
    source, out = make_corpus(tmp_path / "in", 6), tmp_path / "out"
    add_hostile(source)
    first = run(source, out)
    before = contents(out)
    counted.clear()
    again = run(source, out)
    assert counted == []
    assert contents(out) == before
    assert again.model_dump(exclude={"reused"}) == first.model_dump(exclude={"reused"})
    write_wav(source / "new.wav", speech(300))
    add_line(source, "new.wav|አዲስ ቅጂ ነው።")
    write_wav(source / "wavs/clip02.wav", speech(301))
    os.utime(source / "wavs/clip02.wav", ns=(1, 1))
    text = (source / "metadata.csv").read_text(encoding="utf-8").replace(SENTENCES[3], "ሌላ ጽሑፍ።")
    (source / "metadata.csv").write_text(text, encoding="utf-8")
    old_splits = {row["id"]: row["split"] for row in rows(out / "manifest.jsonl")}
    run(source, out)
    assert counted == ["clip02", "clip03", "new"]
    new_splits = {row["id"]: row["split"] for row in rows(out / "manifest.jsonl")}
    assert all(new_splits[i] == split for i, split in old_splits.items() if i != "clip03")
    run(source, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_what_left_the_source_leaves_the_corpus(tmp_path: Path, counted: list[str]):
    source, out = make_corpus(tmp_path / "in", 4), tmp_path / "out"
    write_wav(source / "twin.wav", soundfile.read(source / "wavs/clip01.wav")[0])
    add_line(source, "twin.wav|መንትያ ቅጂ ነው።")
    run(source, out)
    assert rejected(out) == {"twin.wav": "duplicate-audio"}
    table = source / "metadata.csv"
    table.write_text("".join(x for x in table.open(encoding="utf-8") if "clip01" not in x), encoding="utf-8")
    counted.clear()
    run(source, out)
    assert counted == ["twin"]  # its audio had been deleted
    assert sorted(path.stem for path in (out / "audio").iterdir()) == ["clip00", "clip02", "clip03", "twin"]
    run(source, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_lost_or_damaged_audio_is_made_again(tmp_path: Path, counted: list[str]):
    source, out = make_corpus(tmp_path / "in", 4), tmp_path / "out"
    run(source, out)
    before = contents(out)
    (out / "audio/clip01.flac").unlink()
    (out / "audio/clip02.flac").write_bytes(b"")
    counted.clear()
    run(source, out)
    assert counted == ["clip02", "clip01"] or sorted(counted) == ["clip01", "clip02"]
    assert contents(out) == before


def test_source_and_corpus_can_be_moved_together(tmp_path: Path):
    run(make_corpus(tmp_path / "here/in", 3), tmp_path / "here/out")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    assert run(tmp_path / "there/in", tmp_path / "there/out").reused == 3


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_an_interrupted_run_goes_on(tmp_path: Path, stop_at: int, counted: list[str]):
    source, out = make_corpus(tmp_path / "in", 6), tmp_path / "out"
    expected = add_hostile(source)

    def interrupt(progress: PrepareProgress) -> None:
        if progress.done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, out, on_progress=interrupt)
    assert not (out / "manifest.jsonl").exists()
    counted.clear()
    report = run(source, out)
    assert report.reused == stop_at
    assert report.kept == 6
    assert len(rejected(out)) == len(expected)
    run(source, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


KILLED = """
import sys
import time
from pathlib import Path
from amtts_core.corpus.prepare import prepare_corpus
from amtts_core.corpus.settings import PrepareSettings
if __name__ == "__main__":
    def tell(progress):
        sys.stdout.write(f"{progress.done}\\n"); sys.stdout.flush()
        if progress.done >= 10: time.sleep(0.1)  # so that the signal finds it at work
    prepare_corpus(Path(sys.argv[1]), Path(sys.argv[2]), PrepareSettings(), jobs=int(sys.argv[3]), on_progress=tell)
"""


@pytest.mark.parametrize(("jobs", "how"), [(1, signal.SIGKILL), (2, signal.SIGKILL), (2, signal.SIGINT)])
def test_a_kill_at_any_point(tmp_path: Path, jobs: int, how: signal.Signals):
    source, out = make_corpus(tmp_path / "in", 40, seconds=3.0), tmp_path / "out"
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    child = subprocess.Popen(
        [sys.executable, script, source, out, str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 10:
            child.send_signal(how)
            break
    assert child.wait(timeout=60) != 0
    chosen = PrepareSettings()
    report = run(source, out, chosen)
    assert report.kept == 40
    run(source, tmp_path / "fresh", chosen)
    assert contents(out) == contents(tmp_path / "fresh")
    assert not list((out / "audio").glob("*.part"))


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 40, seconds=3.0), tmp_path / "out"
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    child = subprocess.Popen([sys.executable, script, source, out, "2"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while child.stdout.readline() == "0\n":
        pass
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    if not children.exists():
        child.kill()
        pytest.skip("this system does not list the children of a process")
    workers = [int(pid) for pid in children.read_text().split()]
    child.kill()
    child.wait(timeout=30)
    end = time.monotonic() + 20
    while any(alive(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert workers
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def test_a_kill_before_anything_was_done(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 2), tmp_path / "out"
    out.mkdir()
    (out / "prepare.json.tmp").write_text("{")
    assert run(source, out).kept == 2
    (out / "journal.sqlite").unlink()
    assert run(source, out).reused == 0


def test_clips_off_pace_are_not_made_again_unless_they_are_kept_after_all(tmp_path: Path, counted: list[str]):
    source, out = make_corpus(tmp_path / "in", 8), tmp_path / "out"
    add_line(source, f"slow.wav|{'ለመሆኑ ' * 12}")
    write_wav(source / "slow.wav", speech(400))
    strict = PrepareSettings(pace="reject", max_rejected=1)
    assert run(source, out, strict).reasons == {"pace": 1}
    before = contents(out)
    counted.clear()
    assert run(source, out, strict).reused == 9
    assert counted == []
    assert contents(out) == before
    for number in range(12):  # from now on its pace is the usual one
        add_line(source, f"fast{number}.wav|{'ለመሆኑ ' * 12}{'ሀለመሠረሰ'[number % 6] * (1 + number // 6)}")
        write_wav(source / f"fast{number}.wav", speech(500 + number))
    run(source, out, strict)
    assert "slow" in counted
    assert any(row["id"] == "slow" for row in rows(out / "manifest.jsonl"))
    run(source, tmp_path / "fresh", strict)
    assert contents(out) == contents(tmp_path / "fresh")
