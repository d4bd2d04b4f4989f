"""DAC: published weights in and out, exact batches, padding, the first codebooks, refusals."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from tiny_codecs import RATES, published_state, tiny_dac, write_bundle, write_pth
from transformers import DacConfig, DacModel

from amtts_codecs.dac.codec import DacCodec
from amtts_codecs.dac.packaged import is_packaged
from amtts_core.contract.codec import CodecIdentity, SpeechCodec
from amtts_core.contract.codec_registry import codec_names, get_codec, open_codec
from amtts_core.errors import AmttsError, CheckpointError

BUNDLES = Path(os.environ.get("AMTTS_REFERENCE_BUNDLES", "no-bundles"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dac") / "weights.pth"
    write_pth(path)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> DacCodec:
    return DacCodec.open(weights)


def test_published_weights_load_with_their_norm_folded(tmp_path: Path) -> None:
    expected = write_pth(tmp_path / "w.pth").state_dict()
    found = DacCodec.open(tmp_path / "w.pth").network.state_dict()
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-7)


def test_a_hugging_face_folder_is_the_same_codec(codec: DacCodec, tmp_path: Path) -> None:
    codec.network.save_pretrained(tmp_path)
    again = DacCodec.open(tmp_path)
    assert again.weights_hash == codec.weights_hash
    assert CodecIdentity.of(again) == CodecIdentity.of(codec)
    wave = torch.randn(1, 3200) * 0.1
    assert torch.equal(again.encode(wave), codec.encode(wave))


def test_it_is_a_speech_codec_found_by_name(codec: DacCodec, weights: Path) -> None:
    assert isinstance(codec, SpeechCodec)
    assert issubclass(DacCodec, SpeechCodec)
    assert "dac" in codec_names()
    assert get_codec("dac") is DacCodec
    assert open_codec("dac", weights).weights_hash == codec.weights_hash
    assert (codec.sample_rate, codec.frame_rate, codec.num_codebooks, codec.cardinality) == (16000, 50, 3, 16)


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 4001])
def test_waveforms_are_padded_to_whole_frames(codec: DacCodec, samples: int) -> None:
    codes = codec.encode(torch.randn(2, samples) * 0.1)
    assert codes.shape == (2, 3, -(-samples // 320))
    assert codec.num_frames(samples) == codes.shape[2]
    assert codes.dtype == torch.int64
    audio = codec.decode(codes)
    assert 0 <= codes.shape[2] * 320 - audio.shape[1] <= 8


def test_a_batch_encodes_as_its_items_do(codec: DacCodec) -> None:
    torch.manual_seed(1)
    lengths = [6400, 5121, 900]
    wave = torch.randn(3, 6400)
    together = codec.encode(wave, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = codec.encode(wave[row : row + 1, :length])[0]
        assert torch.equal(together[row, :, : alone.shape[1]], alone)
    assert not torch.equal(codec.encode(wave)[2, :, :3], together[2, :, :3]), "the tail would have mattered"


def test_bf16_changes_the_encoder_a_little_and_nothing_else(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wide = DacModel(
        DacConfig(
            encoder_hidden_size=16,
            downsampling_ratios=RATES,
            decoder_hidden_size=32,
            n_codebooks=2,
            codebook_size=16,
        )
    )
    codec, low = (DacCodec(wide.eval(), num_codebooks=2) for _ in range(2))
    low.set_precision("bf16")
    wave = torch.randn(2, 16000) * 0.3
    exact, near = (found.encode_latents(wave)[1] for found in (codec, low))
    error = float((exact - near).norm() / exact.norm())
    # 0 would mean that it computes as before; 0.2014 on an EPYC without units for bf16, others round differently
    assert 0 < error < 0.35, error
    codes = codec.encode(wave)
    assert CodecIdentity.of(low) == CodecIdentity.of(codec)
    torch.testing.assert_close(low.decode(codes), codec.decode(codes), rtol=0, atol=0)


def test_latents_are_the_sum_of_what_the_codes_stand_for(codec: DacCodec) -> None:
    vectors = codec.code_vectors()
    codes = torch.randint(0, 16, (2, 3, 5))
    given = codec.network.quantizer.from_codes(codes)[0]
    same = codec.network.quantizer.from_codes(torch.zeros_like(codes))[0]
    between = sum(vectors[book][codes[:, book]] - vectors[book][0] for book in range(3))
    torch.testing.assert_close((given - same).mT, between)


def test_the_first_codebooks_decode_alone(codec: DacCodec, weights: Path) -> None:
    first = DacCodec.open(weights, num_codebooks=2)
    wave = torch.randn(1, 3200) * 0.1
    assert torch.equal(first.encode(wave), codec.encode(wave)[:, :2])
    assert first.decode(first.encode(wave)).shape == codec.decode(codec.encode(wave)).shape
    assert CodecIdentity.of(first) != CodecIdentity.of(codec)
    with pytest.raises(AmttsError, match=r"9 codebooks were asked for.* has 3"):
        DacCodec.open(weights, num_codebooks=9)


def test_codes_out_of_range_are_refused(codec: DacCodec) -> None:
    with pytest.raises(AmttsError, match="range from 0 to 16, expected 0 to 15"):
        codec.decode(torch.tensor([[[0, 16]]]))
    with pytest.raises(AmttsError, match="1 to 3"):
        codec.decode(torch.zeros(1, 4, 2, dtype=torch.int64))


@pytest.mark.parametrize(
    ("harm", "told"),
    [("missing", "lack"), ("unexpected", "left_over"), ("size", "shape"), ("half", "without")],
)
def test_weights_that_do_not_fit_are_an_error(weights: Path, tmp_path: Path, harm: str, told: str) -> None:
    stored = torch.load(weights, weights_only=True)
    state = stored["state_dict"]
    if harm == "missing":
        del state["decoder.model.0.bias"]
    elif harm == "unexpected":
        state["left_over.weight"] = torch.zeros(1)
    elif harm == "size":
        state["quantizer.quantizers.0.codebook.weight"] = torch.zeros(3, 4)
    else:
        del state["encoder.block.0.weight_g"]
    torch.save(stored, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=told):
        DacCodec.open(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"encoder_dim": "64"}, "encoder_dim is '64', expected a whole number above 0"),
        ({"n_codebooks": None}, "n_codebooks is None"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"encoder_rates": [2, 0, 5, 8]}, r"encoder_rates is \[2, 0, 5, 8\], expected a list"),
        ({"decoder_rates": None}, "decoder rates None do not mirror"),
    ],
)
def test_sizes_that_are_none_are_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    write_pth(tmp_path / "w.pth", **change)
    with pytest.raises(CheckpointError, match=told):
        DacCodec.open(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("value", "told"),
    [(float("nan"), "'decoder.conv1.bias' holds a number that is not finite"), ("no tensor", "is str")],
)
def test_weights_that_are_no_numbers_are_told(
    weights: Path, tmp_path: Path, value: object, told: str
) -> None:
    stored = torch.load(weights, weights_only=True)
    state = stored["state_dict"]
    bias = state["decoder.model.0.bias"]
    state["decoder.model.0.bias"] = bias * value if isinstance(value, float) else value
    torch.save(stored, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"w.pth.*{told}.*Get the file again"):
        DacCodec.open(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("text", "told"),
    [('{"codebook_dim": "8"}', "codebook_dim is '8'"), ("[1]", "no object"), ("{", "cannot be read")],
)
def test_a_folder_of_damaged_settings_is_told(codec: DacCodec, tmp_path: Path, text: str, told: str) -> None:
    codec.network.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=told):
        DacCodec.open(tmp_path)


def test_latents_of_another_size_are_told(tmp_path: Path) -> None:
    write_pth(tmp_path / "w.pth", latent_dim=128)
    with pytest.raises(CheckpointError, match="latent size 128"):
        DacCodec.open(tmp_path / "w.pth")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    (tmp_path / "w.pth").write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
    torch.save({"state_dict": Trap(), "metadata": {}}, tmp_path / "zip.pth")
    for name in ("w.pth", "zip.pth"):
        with pytest.raises(CheckpointError, match="cannot be read safely"):
            DacCodec.open(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_empty_or_cut_short_says_so(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    write_pth(tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    for content, said in ((b"", "it is empty"), (whole[:5000], "it is damaged or cut short")):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=f"w.pth cannot be read safely: {said}"):
            DacCodec.open(tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes(pickle.dumps(os.system, protocol=4))
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        DacCodec.open(tmp_path / "w.pth")
    assert not [str(w.message) for w in recwarn if "pickle" in str(w.message)]


def test_the_advice_to_run_a_file_is_not_passed_on(tmp_path: Path) -> None:
    torch.save({"state_dict": os.system}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"more than tensors and plain values \(\w+\.system\)") as told:
        DacCodec.open(tmp_path / "w.pth")
    assert "weights_only" not in str(told.value)


def write_packaged(path: Path, model: object, data: dict[str, bytes] | None = None) -> None:
    """An archive in the layout of `torch.package`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/.data/extern_modules", "torch\n")
        archive.writestr("x/DAC/DAC.pth", pickle.dumps(model))
        for name, content in (data or {}).items():
            archive.writestr(f"x/.data/{name}.storage", content)


def test_a_packaged_file_runs_no_code_either(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    write_packaged(tmp_path / "w.pth", Trap())
    assert is_packaged(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no module"):
        DacCodec.open(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"not a checkpoint")
    for path in (tmp_path / "w.pth", tmp_path):
        with pytest.raises(CheckpointError) as caught:
            DacCodec.open(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(AmttsError, match="unknown codec 'dak'.*did you mean 'dac'"):
        open_codec("dak", tmp_path)


def test_the_fingerprint_is_of_the_numbers() -> None:
    from amtts_core.codec.fingerprint import weights_fingerprint

    state = published_state(tiny_dac())
    same = {name: tensor.clone() for name, tensor in reversed(state.items())}
    assert weights_fingerprint(state) == weights_fingerprint(same)
    same["encoder.block.0.bias"] = same["encoder.block.0.bias"] + 1e-6
    assert weights_fingerprint(state) != weights_fingerprint(same)


def test_a_bundle_is_read_and_its_damage_told(tmp_path: Path) -> None:
    checks = DacCodec.reference_checks(write_bundle(tmp_path / "bundle"))
    assert {c.name for c in checks} >= {"codes", "z", "decoded", "audio_padded", "frame_rate"}
    assert all(check.ok for check in checks)
    with pytest.raises(AmttsError, match="bundle"):
        DacCodec.reference_checks(tmp_path)


@pytest.mark.skipif(
    not (BUNDLES / "dac").is_dir(), reason="AMTTS_REFERENCE_BUNDLES names no folder with dac/"
)
def test_the_original_package_made_the_same_numbers() -> None:
    failed = [check for check in DacCodec.reference_checks(BUNDLES / "dac") if not check.ok]
    assert not failed
