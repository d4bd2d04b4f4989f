"""The original package behind `--codec descript`: what runs without it, and, where it is installed, equal numbers."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from tiny_codecs import tiny_dac, write_pth

from amtts_codecs.dac.codec import DacCodec
from amtts_codecs.descript.codec import DescriptCodec
from amtts_core.contract.codec import CodecIdentity, SpeechCodec
from amtts_core.errors import AmttsError

INSTALLED = importlib.util.find_spec("dac") is not None
BUNDLES = Path(os.environ.get("AMTTS_REFERENCE_BUNDLES", "no-bundles"))
original = pytest.mark.skipif(
    not INSTALLED, reason="descript-audio-codec is not installed; make test-descript"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("descript") / "weights.pth"
    write_pth(path)
    return path


def test_it_is_a_codec_class() -> None:
    assert issubclass(DescriptCodec, SpeechCodec)


@pytest.mark.skipif(INSTALLED, reason="descript-audio-codec is installed")
def test_without_the_package_the_way_out_is_told(weights: Path) -> None:
    with pytest.raises(AmttsError, match="needs the package descript-audio-codec") as caught:
        DescriptCodec.open(weights)
    assert "--codec dac" in str(caught.value.remedy)


@original
def test_codes_and_identity_are_those_of_dac(weights: Path) -> None:
    torch.manual_seed(0)
    theirs, ours = DescriptCodec.open(weights, num_codebooks=2), DacCodec.open(weights, num_codebooks=2)
    assert isinstance(theirs, SpeechCodec)
    assert CodecIdentity.of(theirs) == CodecIdentity.of(ours)
    wave, lengths = torch.randn(3, 6400) * 0.1, torch.tensor([6400, 5121, 900])
    found, expected = theirs.encode(wave, lengths), ours.encode(wave, lengths)
    for row, length in enumerate(lengths.tolist()):
        frames = ours.num_frames(length)
        assert torch.equal(found[row, :, :frames], expected[row, :, :frames])
    torch.testing.assert_close(theirs.decode(found), ours.decode(found), rtol=0, atol=1e-5)


@original
def test_folders_and_damaged_files_are_refused(weights: Path, tmp_path: Path) -> None:
    tiny_dac().save_pretrained(tmp_path / "hf")
    with pytest.raises(AmttsError, match="is a folder"):
        DescriptCodec.open(tmp_path / "hf")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(AmttsError, match="cannot be read"):
        DescriptCodec.open(broken)


@original
@pytest.mark.skipif(not (BUNDLES / "dac").is_dir(), reason="no bundle: set AMTTS_REFERENCE_BUNDLES")
def test_the_bundle_holds() -> None:
    checks = DescriptCodec.reference_checks(BUNDLES / "dac")
    assert [check.name for check in checks if not check.ok] == []
