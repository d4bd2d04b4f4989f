"""Sentences spoken on the way: audio, mel and alignment, in the run folder and in TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tiny_voice import train_tiny


def test_a_sample_can_be_heard_and_seen(corpus: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    training = {"max_steps": 1, "sample_every": 1, "tensorboard": True, "sample_texts": ["ሰላም። ለማ።"]}
    train_tiny(corpus, run, backend="chatterbox", training=training)
    names = {path.name for path in (run / "samples").iterdir()}
    assert names == {f"step-00000001-0{end}" for end in (".wav", "-mel.png", "-alignment.png")}
    mel = np.asarray(Image.open(run / "samples/step-00000001-0-mel.png"))
    assert mel.shape[0] == 80
    assert mel.std() > 1, "a picture of something"
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert {"sample/0/mel", "sample/0/alignment"} <= set(events.Tags()["images"])
    assert "sample/0" in events.Tags()["audio"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert 'title="mel"' in page
    assert 'title="alignment"' in page
