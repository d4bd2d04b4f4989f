"""Voices heard from other clips: what w2v-bert hears, what is cached of it, which clip it is, and speech without it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import call
from extended import extended
from recordings import make_corpus as make_recordings
from safetensors.torch import load_file
from tiny_codecs import write_pth
from tiny_voice import fidel_tokenizer, make_corpus, tiny_config
from tiny_w2v import LAYER, settings, write_w2v_bert
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel

from amtts_core.checkpoints.checkpoint import find_checkpoint, read_checkpoint
from amtts_core.contract.types import SynthesisRequest
from amtts_core.data.dataset import load_dataset
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.finetune.trainable import parameter_kinds
from amtts_core.run.datasets import RunData, encode_prompts, load_data
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.settings import merged
from amtts_indextts2.backend import IndexTTS2Backend
from amtts_indextts2.clips import voice_of_recording
from amtts_indextts2.voices import CONDITIONERS
from amtts_indextts2.w2v_bert import LEAST_SAMPLES, W2vBert, open_w2v_bert

SPEAKERS = ("ሀና", "በላይ", "ሀና", "ከበደ", "በላይ", "ሀና", "በላይ")
"""Of the training clips; one speaker has a single clip."""


@pytest.fixture(scope="module")
def w2v(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_w2v_bert(tmp_path_factory.mktemp("w2v") / "w2v-bert")


@pytest.fixture(scope="module")
def model(w2v: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a tiny network that hears clips and speaks in three DAC codebooks of 16."""
    codec = tmp_path_factory.mktemp("codec") / "dac.pth"
    write_pth(codec)
    part = {
        "output_size": 8,
        "linear_units": 8,
        "attention_heads": 2,
        "num_blocks": 1,
        "perceiver_mult": 0.1,
    }
    head = {"kind": "dac", "num_codebooks": 3, "cardinality": 16}
    sizes = {"speaker": part, "emotion": part, "head": head}
    return {"codec": "dac", "codec_weights": str(codec), **sizes, **settings(w2v)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    return make_corpus(folder, train_items=7, val_items=3, speakers=SPEAKERS)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny published weights that read Amharic."""
    return extended(tmp_path_factory.mktemp("published"), "indextts2")


@pytest.fixture(scope="module")
def frozen_run(corpus: Path, published: Path, model: dict[str, Any], tmp_path_factory: Any) -> Path:
    """Four steps from published weights, whose encoders stay."""
    run = tmp_path_factory.mktemp("frozen") / "run"
    learn(corpus, run, from_published(published, model), start=published)
    return run


def from_published(published: Path, model: dict[str, Any]) -> dict[str, Any]:
    own = {k: v for k, v in model.items() if k not in ("speaker", "emotion")}
    return merged(open_init_weights(published).model, own)


def learn(
    corpus: Path, run: Path, model: dict[str, Any], *, start: Path | None = None, **changes: Any
) -> None:
    resume = changes.pop("resume", False)
    training = {"max_steps": 4, "validate_every": 2, "save_every": 2, **changes}
    config, kind = tiny_config("indextts2", model=model, training=training)
    begun = open_init_weights(start) if start else None
    train(config, kind, RunOptions(data=corpus, run=run, init=begun, resume=resume, jobs=1))


def build(model: dict[str, Any], **changes: Any) -> IndexTTS2Backend:
    torch.manual_seed(0)
    config, kind = tiny_config("indextts2", model={**model, **changes})
    backend = kind(
        config.model_config_of(kind.spec), tokenizer=fidel_tokenizer(), speakers=sorted(set(SPEAKERS))
    )
    assert isinstance(backend, IndexTTS2Backend)
    return backend


def sets_of(backend: IndexTTS2Backend, corpus: Path) -> RunData:
    config, _ = tiny_config("indextts2", model=backend.config.model_dump())
    return load_data(backend, corpus, config, jobs=1)


def conditioners(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if name.startswith(CONDITIONERS)}


# ---- what is heard ----


def test_it_hears_what_transformers_hears(w2v: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amtts_indextts2.w2v_bert.SECONDS", 1)  # 15 take their time
    wave = (0.1 * np.random.default_rng(0).standard_normal(16000 * 2)).astype(np.float32)
    whole = Wav2Vec2BertModel.from_pretrained(w2v).float().eval()
    extract = SeamlessM4TFeatureExtractor.from_pretrained(w2v)
    statistics = torch.load(w2v / "stats.pt", weights_only=True)
    listener = open_w2v_bert(str(w2v), str(w2v / "stats.pt"), LAYER)
    for samples in (16000 * 2, 9130):
        heard = extract(wave[: min(samples, 16000)], sampling_rate=16000, return_tensors="pt")
        with torch.no_grad():
            states = whole(**heard, output_hidden_states=True).hidden_states[LAYER][0]
        expected = (states - statistics["mean"]) / statistics["var"].sqrt()
        np.testing.assert_allclose(listener(wave[:samples]), expected.numpy(), atol=1e-5)


def test_its_key_is_that_of_weights_statistics_and_layer(w2v: Path, tmp_path: Path) -> None:
    listener = W2vBert(str(w2v), str(w2v / "stats.pt"), LAYER)
    assert listener.key == open_w2v_bert(str(w2v), str(w2v / "stats.pt"), LAYER).key
    others = (
        W2vBert(str(w2v), "none", LAYER),
        W2vBert(str(w2v), str(w2v / "stats.pt"), LAYER + 1),
        W2vBert(str(write_w2v_bert(tmp_path, seed=3)), str(w2v / "stats.pt"), LAYER),
    )
    assert len({listener.key, *(other.key for other in others)}) == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"voice_model": "no/such/dir"}, "there is no such folder.*--set model.voice_model=PATH"),
        ({"voice_model": "{w2v}/.."}, "holds no config.json"),
        ({"voice_layer": 17}, "of 2 layers of 1024, expected a 'wav2vec2-bert' of at least 17 layers"),
        ({"voice_statistics": ""}, "names no statistics.*wav2vec2bert_stats.pt"),
        ({"voice_statistics": "nowhere.pt"}, "nowhere.pt: there is no such file.*wav2vec2bert_stats.pt"),
        ({"voice_statistics": "{w2v}/config.json"}, "cannot be read"),
        ({"voice_statistics": "{w2v}/other.pt"}, "'mean' and 'var' of 1024 values"),
    ],
)
def test_what_cannot_hear_is_told(
    model: dict[str, Any], w2v: Path, change: dict[str, Any], told: str
) -> None:
    torch.save({"mean": torch.zeros(3), "var": torch.ones(1024)}, w2v / "other.pt")
    given = {k: v.format(w2v=w2v) if isinstance(v, str) else v for k, v in change.items()}
    backend = build({**model, **given})
    with pytest.raises(AmttsError, match=told):
        backend.prompt_extractor()


def test_weights_that_lack_a_tensor_are_told(w2v: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for file in w2v.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(w2v / "model.safetensors")
    del weights["encoder.layers.0.ffn1.output_dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AmttsError, match="lacks the tensor 'encoder.layers.0.ffn1.output_dense.weight'"):
        W2vBert(str(tmp_path), "none", LAYER)


def test_a_clip_too_short_to_hear_is_told(w2v: Path) -> None:
    listener = open_w2v_bert(str(w2v), str(w2v / "stats.pt"), LAYER)
    wave = np.ones(LEAST_SAMPLES, np.float32)
    assert listener(wave).shape == (3, 1024)
    with pytest.raises(AmttsError, match="too short for a voice"):
        listener(wave[1:])


# ---- which clip it is ----


def test_nobody_hears_himself_where_there_is_another_clip(
    corpus: Path, model: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    backend = build(model)
    sets = sets_of(backend, corpus)
    clips = sets.train.prompts
    assert clips is not None
    met: dict[int, set[int]] = {}
    for epoch in range(30):
        for index in range(len(sets.train)):
            source, other = clips.partner(index, epoch=epoch)
            assert source is clips
            assert clips.speakers[other] == clips.speakers[index]
            assert clips.partner(index, epoch=epoch)[1] == other, "the same again"
            met.setdefault(index, set()).add(other)
    lonely = SPEAKERS.index("ከበደ")
    assert clips.without_partner() == [lonely]
    for index, others in met.items():
        fellows = {n for n, name in enumerate(SPEAKERS) if name == SPEAKERS[index]} - {index}
        assert others == (fellows or {lonely}), "all of them come, and itself only where there is no other"
    again = dataclasses.replace(clips, seed=clips.seed + 1)
    draws = [[c.partner(0, epoch=epoch)[1] for epoch in range(20)] for c in (clips, again)]
    assert draws[0] != draws[1], "the seed decides"
    encode_prompts(backend, sets)
    assert "1 of 7 utterances have no other recording of their speaker" in caplog.text


def test_validation_hears_the_same_training_clip_every_time(corpus: Path, model: dict[str, Any]) -> None:
    sets = sets_of(build(model), corpus)
    assert sets.val is not None
    clips = sets.val.prompts
    assert clips is not None
    for index, utterance in enumerate(sets.val.utterances):
        source, other = clips.partner(index, epoch=0)
        assert source is sets.train.prompts
        assert source.speakers[other] == utterance.speaker
    first, second = sets.val.batch([0, 1, 2]), sets.val.batch([0, 1, 2])
    assert torch.equal(first["prompt_frames"], second["prompt_frames"])


# ---- what is cached ----


def test_cached_latents_are_those_made_on_the_fly(corpus: Path, model: dict[str, Any]) -> None:
    backend = build(model)
    sets = sets_of(backend, corpus)
    indices = range(len(sets.train))
    fresh = sets.train.batch(indices, epoch=5)
    latents, emotion = backend.network.encode_clips(fresh["prompt_frames"], fresh["prompt_lengths"])
    encode_prompts(backend, sets)
    cached = sets.train.batch(indices, epoch=5)
    assert "prompt_frames" not in cached
    torch.testing.assert_close(cached["prompt_latents"], latents, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(cached["prompt_emotion"], emotion, rtol=2e-3, atol=2e-3)
    assert float(latents[0].sub(latents[1]).abs().max()) > 1e-2, "clips differ"


def test_they_are_made_once_for_the_same_encoders(corpus: Path, model: dict[str, Any]) -> None:
    stores = []
    for harm in (0.0, 0.0, 1.0):
        backend = build(model)
        with torch.no_grad():
            backend.network.emotion.mix.bias.add_(harm)
        sets = sets_of(backend, corpus)
        assert sets.train.prompts is not None
        encode_prompts(backend, sets)
        stores.append(sets.train.prompts.store.folder)
    assert stores[0] == stores[1] != stores[2]


def test_stored_codes_go_with_clips_heard_from_the_audio(
    corpus: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    from amtts_core.run.encode_codes import encode_manifest

    backend, manifest = build(model), corpus / "train.jsonl"
    encode_manifest(manifest, backend.open_codec(), tmp_path / "codes")
    plain, stored = (
        load_dataset(backend, manifest, corpus / "features", codes=codes, prompt_seed=1)
        for codes in (None, tmp_path / "codes")
    )
    for name, value in plain.batch([0, 3]).items():
        theirs = stored.batch([0, 3])[name]
        assert torch.equal(value, theirs) if isinstance(value, torch.Tensor) else value == theirs


def test_an_utterance_that_cannot_be_heard_is_excluded(model: dict[str, Any], tmp_path: Path) -> None:
    import soundfile

    corpus = make_corpus(tmp_path / "corpus", train_items=3, val_items=1)
    soundfile.write(corpus / "audio/u001.wav", np.zeros(900), 22050)
    dataset = load_dataset(build(model), corpus / "train.jsonl", tmp_path, max_excluded=0.5, prompt_seed=1)
    assert [(row.id, "too short" in row.reason) for row in dataset.excluded] == [("u001", True)]
    assert dataset.prompts is not None
    assert [dataset.prompts.partner(i, epoch=0)[1] for i in range(2)] == [1, 0]


# ---- training ----


def test_frozen_encoders_stay_to_the_bit(frozen_run: Path, published: Path) -> None:
    network = read_checkpoint(frozen_run, prefer="latest").load_backend().network
    assert isinstance(network, torch.nn.Module)
    from amtts_indextts2.published import published_name

    before = torch.load(published / "gpt.pth", weights_only=True)
    own = network.state_dict()
    held = conditioners(own)
    assert len(held) > 50
    for name, value in held.items():
        assert torch.equal(value, before[published_name(name)]), name
    transformer = "transformer.blocks.0.attention.qkv.weight"
    assert not torch.equal(own[transformer], before[published_name(transformer)].T)


def test_voices_are_the_means_of_the_clips(frozen_run: Path, corpus: Path) -> None:
    backend = read_checkpoint(frozen_run).load_backend()
    assert isinstance(backend, IndexTTS2Backend)
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features", prompt_seed=1)
    assert dataset.prompts is not None
    for number, name in enumerate(backend.speakers.names):
        own = [i for i, speaker in enumerate(dataset.prompts.speakers) if speaker == name]
        heard = [torch.from_numpy(dataset.prompts.features(i)["frames"])[None] for i in own]
        found = [backend.network.encode_clips(h, torch.tensor([h.shape[1]])) for h in heard]
        for position, table in enumerate((backend.network.voices.latents, backend.network.voices.emotion)):
            mean = torch.stack([pair[position][0] for pair in found]).mean(0)
            torch.testing.assert_close(table[number], mean, rtol=2e-3, atol=2e-3)


def test_a_resumed_run_is_the_undisturbed_one(
    frozen_run: Path, corpus: Path, published: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    own = from_published(published, model)
    learn(corpus, tmp_path / "run", own, start=published, max_steps=2)
    learn(corpus, tmp_path / "run", own, resume=True)
    whole, cut = (find_checkpoint(run, prefer="latest") for run in (frozen_run, tmp_path / "run"))
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()
    assert (whole / "training.safetensors").read_bytes() == (cut / "training.safetensors").read_bytes()


def test_adapters_and_new_rows_leave_the_encoders(
    corpus: Path, published: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    own = from_published(published, model)
    learn(corpus, tmp_path / "run", own, start=published, type="lora+new-tokens", max_steps=2)
    before = torch.load(published / "gpt.pth", weights_only=True)
    held = conditioners(read_checkpoint(tmp_path / "run").load_backend().network.state_dict())
    assert torch.equal(held["speaker.perceiver.latents"], before["perceiver_encoder.latents"])
    assert torch.equal(held["emotion.mix.weight"], before["emo_layer.weight"])


def test_encoders_learn_where_they_are_told_to_and_voices_follow(
    corpus: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    own = {**model, "conditioner_training": "trained"}
    learn(corpus, tmp_path / "run", own, max_steps=3)
    learn(corpus, tmp_path / "cut", own, max_steps=2)
    learn(corpus, tmp_path / "cut", own, resume=True, max_steps=3)
    whole, cut = (
        load_file(find_checkpoint(tmp_path / run, prefer="latest") / "model.safetensors")
        for run in ("run", "cut")
    )
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    first = build(own).network.state_dict()
    moved = [name for name, value in conditioners(whole).items() if not torch.equal(value, first[name])]
    assert len(moved) == len(conditioners(whole))
    assert bool((whole["voices.latents"].flatten(1) != 0).any(dim=1).all())


def test_a_table_of_speakers_begins_as_the_voices(frozen_run: Path, corpus: Path, tmp_path: Path) -> None:
    start = open_init_weights(frozen_run)
    own = {**start.model, "conditioning": "table", "voice_model": "gone"}
    slow = {"optim": {"learning_rate": 1e-9, "weight_decay": 0.0}}
    learn(corpus, tmp_path / "run", own, start=frozen_run, max_steps=1, **slow)
    voices = read_checkpoint(frozen_run).weights()
    weights = read_checkpoint(tmp_path / "run").weights()
    assert not conditioners(weights)
    rows = voices["voices.latents"] + voices["voices.emotion"][:, None]
    torch.testing.assert_close(weights["speaker_table.weight"], rows.flatten(1), rtol=0, atol=1e-6)
    with pytest.raises(CheckpointError, match="have a table of speakers, no encoders.*Leave it at 'table'"):
        learn(corpus, tmp_path / "back", dict(start.model), start=tmp_path / "run")


def test_encoders_have_a_rate_of_their_own(model: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    config, _ = tiny_config("indextts2", training={"optim": {"rates": {"speaker_encoder": 0.1}}})
    backend = build(model, conditioner_training="trained")
    kinds = parameter_kinds(backend, config.training)
    own = {name for name, p in backend.network.named_parameters() if kinds.get(id(p)) == "speaker_encoder"}
    assert own == {name for name, _ in backend.network.named_parameters() if name.startswith(CONDITIONERS)}
    assert not caplog.text
    parameter_kinds(build(model), config.training)
    assert "no encoder of reference audio is trained" in caplog.text


def test_encoders_that_never_learnt_are_not_frozen_in_silence(
    corpus: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(AmttsError, match="were never trained.*--set model.conditioner_training=trained"):
        learn(corpus, tmp_path / "run", model)


def test_published_encoders_want_their_statistics(
    corpus: Path, published: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    own = {**from_published(published, model), "voice_statistics": "none"}
    with pytest.raises(AmttsError, match="--set model.voice_statistics=wav2vec2bert_stats.pt"):
        learn(corpus, tmp_path / "run", own, start=published)


def test_another_w2v_bert_is_refused(frozen_run: Path, corpus: Path, w2v: Path, tmp_path: Path) -> None:
    backend = read_checkpoint(frozen_run).load_backend({"voice_statistics": "none"})
    assert isinstance(backend, IndexTTS2Backend)
    with pytest.raises(AmttsError, match="was trained on features of the w2v-bert"):
        backend.prompt_encoder()


# ---- speech ----


def test_a_recording_lends_its_voice(frozen_run: Path, corpus: Path, tmp_path: Path) -> None:
    clip = corpus / "audio/u001.wav"
    asked = SynthesisRequest(tokens=[40, 41, 42, 43])
    backend = read_checkpoint(frozen_run).load_backend({"voice_clip": str(clip)})
    assert isinstance(backend, IndexTTS2Backend)
    waves = [backend.synthesize([asked])[0] for _ in range(2)]
    np.testing.assert_array_equal(*waves)
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features", prompt_seed=1)
    assert dataset.prompts is not None
    frames = torch.from_numpy(dataset.prompts.features(1)["frames"])[None]
    latents, emotion = backend.network.encode_clips(frames, torch.tensor([frames.shape[1]]))
    torch.testing.assert_close(
        voice_of_recording(backend.network, backend.config), latents + emotion[:, None], rtol=2e-3, atol=2e-3
    )
    for change, told in (
        ({"voice_clip": str(tmp_path / "no.wav")}, "no.wav"),
        ({"voice_clip": str(clip), "voice_statistics": "none"}, "was trained on features of the w2v-bert"),
    ):
        with pytest.raises(AmttsError, match=told):
            read_checkpoint(frozen_run).load_backend(change).synthesize([asked])


def test_speakers_are_spoken_without_w2v_bert(frozen_run: Path) -> None:
    checkpoint = read_checkpoint(frozen_run)
    backend = checkpoint.load_backend({"voice_model": "gone", "voice_statistics": "gone.pt"})
    tokens = checkpoint.tokenizer().encode("ሰላም ለዓለም።")  # type: ignore[union-attr]
    waves = backend.synthesize([SynthesisRequest(tokens=tokens, speaker=number) for number in (0, 1)])
    assert all(len(wave) > 1000 and np.isfinite(wave).all() for wave in waves)
    table = backend.network.voices  # type: ignore[union-attr]
    assert float((table(torch.tensor([0])) - table(torch.tensor([1]))).abs().max()) > 1e-3  # type: ignore[operator]


def test_from_recordings_to_speech_by_the_command_line(
    published: Path, w2v: Path, model: dict[str, Any], tmp_path: Path
) -> None:
    source, data, run = make_recordings(tmp_path / "source", 6), tmp_path / "data", tmp_path / "run"
    done = call("prepare", source, "--out", data, "--jobs", 1)
    assert done.code == 0, done.err
    options: list[object] = ["--data", data, "--out", run, "--jobs", 1]
    given = {**settings(w2v), "codec": "dac", "codec_weights": model["codec_weights"]}
    given["head"] = "{kind: dac, num_codebooks: 3, cardinality: 16}"
    quick = {"training.sample_every": 0, "training.tensorboard": "false", "data.batch_seconds": 6}
    for name, value in [*((f"model.{k}", v) for k, v in given.items()), *quick.items()]:
        options += ["--set", f"{name}={value}"]
    done = call("train", "--from", published, *options, "--max-steps", 3)
    assert done.code == 0, done.err
    done = call("train", *options[:6], "--resume", "--max-steps", 5)
    assert done.code == 0, done.err
    assert "at step 5" in done.out
    done = call("synthesize", "--checkpoint", run, "ሰላም ለዓለም።", "--out", tmp_path / "hello.wav")
    assert done.code == 0, done.err
    assert (tmp_path / "hello.wav").stat().st_size > 4000
