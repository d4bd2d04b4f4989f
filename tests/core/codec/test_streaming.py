"""Speech that is handed over while it is spoken: the same samples, earlier."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_codecs import tiny_dac
from tiny_t3 import ToneCodec, build, tone_codec
from tiny_voice import fit_statistics, overfit, tiny_backend, tiny_examples

from amtts_codecs.dac.codec import DacCodec
from amtts_core.audio.pcm import to_pcm16
from amtts_core.audio.save import endless_wav_header
from amtts_core.codec.streaming import decode_pieces
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.types import SynthesisRequest
from amtts_core.synthesis.engine import Synthesizer
from amtts_core.synthesis.stitch import faded_stream, join
from amtts_core.text.normalizer import Normalizer

RATE = 16000


@pytest.mark.parametrize("sizes", [[300], [1] * 60, [5, 0, 70, 3, 1, 90], [7], [40, 41]])
def test_a_local_codec_decodes_pieces_as_it_decodes_the_whole(sizes: list[int], tmp_path: Path) -> None:
    tiny_dac().save_pretrained(tmp_path)
    codec = DacCodec.open(tmp_path)
    assert codec.decoder_context is not None
    random = torch.Generator().manual_seed(0)
    codes = torch.randint(codec.cardinality, (sum(sizes), codec.num_codebooks), generator=random)
    pieces = list(decode_pieces(codec, codes.split(sizes)))
    whole = codec.decode(codes.T[None])[0].clamp(-1, 1).numpy()
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert len(whole) <= 10 * codec.samples_per_frame or len(sizes) == 1 or len(pieces) > 1


def test_its_context_is_as_long_as_it_has_to_be(tmp_path: Path) -> None:
    tiny_dac().save_pretrained(tmp_path)
    codec = DacCodec.open(tmp_path)
    codes = torch.zeros(1, codec.num_codebooks, 4 * codec.decoder_context + 1, dtype=torch.int64)
    other = codes.clone()
    other[:, :, 2 * codec.decoder_context] = 1
    moved = (codec.decode(codes) - codec.decode(other))[0].abs() > 1e-9
    frames = moved.nonzero().flatten() // codec.samples_per_frame - 2 * codec.decoder_context
    assert 0 < int(frames.abs().max()) <= codec.decoder_context


class Lump:
    """A codec without bounds: each sample depends on all codes."""

    decoder_context = None
    decodes_streams = False

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return (codes[:, 0].float() / 10).cumsum(1).flip(1)


def test_any_other_codec_waits_for_all_codes() -> None:
    codec: SpeechCodec = Lump()  # type: ignore[assignment]
    pieces = list(decode_pieces(codec, torch.arange(6)[:, None].split(2)))
    assert len(pieces) == 1
    assert list(decode_pieces(codec, [])) == []


@pytest.mark.parametrize("sizes", [[4000], [1, 2, 3, 4, 5, 2000], [160, 160, 1], [30], [0, 100, 100], []])
def test_fades_of_a_stream_are_those_of_the_whole(sizes: list[int]) -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, sum(sizes)).astype(np.float32)
    pieces = np.split(wave, np.cumsum(sizes)[:-1]) if sizes else []
    joined = np.concatenate([np.zeros(0, np.float32), *faded_stream(pieces, RATE)])
    np.testing.assert_allclose(joined, join([wave], [0.3], RATE), atol=1e-6)


@pytest.mark.parametrize("name", ["chatterbox", "chatterbox-mel", "indextts2", "vits"])
def test_a_streamed_text_is_the_spoken_text(name: str) -> None:
    torch.manual_seed(0)
    backend = tiny_backend(name, speakers=["ሀ"])
    if name in ("chatterbox", "indextts2"):  # what was streamed cannot be tried again
        once = backend.config.sampling.model_copy(update={"retries": 0})
        backend.config = backend.config.model_copy(update={"sampling": once})
    examples = tiny_examples(backend, 3)
    fit_statistics(backend, examples)
    assert (backend.spec.streaming is not None) == (name != "chatterbox-mel")
    overfit(backend, examples, 2)  # lengths are learnt by watching
    backend.network.eval()
    voice = Synthesizer(backend, Normalizer())
    streamed = voice.stream("ለመለመ። ሰላም፣ ለበነ ተነሰ።", seed=3)
    whole = voice.speak("ለመለመ። ሰላም፣ ለበነ ተነሰ።", seed=3)
    pieces = list(streamed.pieces)
    assert streamed.sample_rate == whole.sample_rate
    assert len(pieces) > len(whole.stretches)
    np.testing.assert_allclose(np.concatenate(pieces), whole.waveform, atol=1e-4)


class Tones24(ToneCodec):
    sample_rate, frame_rate, decoder_context = 24000, 37.5, 0


def test_t3_streams_its_codes() -> None:
    backend = build(sampling={"retries": 0, "least_per_symbol": 6.0})
    assert backend.spec.streaming is not None
    request = SynthesisRequest(tokens=[5, 6, 7, 8], speed=1.0, seed=1)
    with tone_codec(Tones24):
        pieces, (whole,) = list(backend.stream(request)), backend.synthesize([request])
    assert len(pieces) > 1
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_players_read_the_header() -> None:
    wave = np.linspace(-1, 1, 800, dtype=np.float32)
    sound = endless_wav_header(RATE) + to_pcm16(wave).tobytes()
    read, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(read, wave, atol=1e-4)


def test_a_request_streams_before_it_is_over() -> None:
    backend = tiny_backend("vits")
    assert backend.spec.streaming is not None
    pieces = backend.stream(SynthesisRequest(tokens=[5] * 40, speed=0.25, seed=0))
    assert len(next(pieces)) < sum(map(len, pieces))
