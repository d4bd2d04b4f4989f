"""Settings and sizes of VITS. Names of sizes are those of transformers' `VitsConfig`, so that both read alike."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

from pydantic import Field, model_validator

from amtts_core.audio.mel import MelConfig
from amtts_core.settings import Settings

SAMPLE_RATE = 16000
"""Hz; the rate of the MMS checkpoints and of every preset."""
SLOWEST, FASTEST = 8000, 48000
"""Hz; rates that `mel.sample_rate` may have."""


def _mel() -> MelConfig:
    return MelConfig(sample_rate=SAMPLE_RATE, n_fft=1024, hop=256, n_mels=80, fmin=0.0, fmax=SAMPLE_RATE / 2)


class DiscriminatorSettings(Settings):
    """The waveform discriminators: one on the waveform itself, one for each period."""

    periods: tuple[int, ...] = Field((2, 3, 5, 7, 11), description="samples per row of the folded waveforms")
    period_channels: tuple[int, ...] = Field(
        (32, 128, 512, 1024), min_length=1, description="channels of the strided layers of a period"
    )
    scale_channels: tuple[int, ...] = Field(
        (16, 64, 256, 1024, 1024), min_length=2, description="channels of the layers on the waveform"
    )
    resolutions: tuple[tuple[int, int, int], ...] = Field(
        (),
        description="spectrograms with a discriminator each: FFT size, hop, window, in samples; "
        "[[1024,120,600],[2048,240,1200],[512,50,240]] as published",
    )
    resolution_channels: int = Field(32, gt=0, description="channels of a discriminator on spectrograms")

    @model_validator(mode="after")
    def _framed(self) -> DiscriminatorSettings:
        for size, hop, window in self.resolutions:
            if not 0 < hop <= window <= size or size < 16:
                raise ValueError(
                    f"resolution [{size}, {hop}, {window}] needs 0 < hop <= window <= FFT size, 16 or more"
                )
        return self

    @model_validator(mode="after")
    def _grouped(self) -> DiscriminatorSettings:
        for depth in range(1, len(self.scale_channels)):
            groups = 4**depth
            if self.scale_channels[depth - 1] % groups or self.scale_channels[depth] % groups:
                raise ValueError(
                    f"layer {depth + 1} on the waveform has {groups} groups; channels must divide"
                )
        return self


class LossSettings(Settings):
    """Weights of the generator's losses (Kim et al. 2021)."""

    mel: float = Field(45.0, ge=0, description="weight of the mel-spectrogram L1")
    kl: float = Field(1.0, ge=0, description="weight of the divergence of posterior and prior")
    duration: float = Field(1.0, ge=0, description="weight of the duration loss")
    feature: float = Field(2.0, ge=0, description="weight of feature matching")
    adversarial: float = Field(1.0, ge=0, description="weight of the adversarial loss")


class VitsSettings(Settings):
    """The network of VITS and how it learns."""

    mel: MelConfig = Field(
        default_factory=_mel, description="spectrograms; its sample_rate is that of the voice"
    )
    hidden_size: int = Field(192, gt=0, description="channels of text encoder, flows and posterior encoder")
    num_hidden_layers: int = Field(6, gt=0, description="layers of the text encoder")
    num_attention_heads: int = Field(2, gt=0, description="attention heads of the text encoder")
    window_size: int = Field(
        4, gt=0, description="symbols to each side with a relative position of their own"
    )
    ffn_dim: int = Field(768, gt=0, description="inner channels of the text encoder")
    ffn_kernel_size: int = Field(3, gt=0, description="symbols a layer of the text encoder sees, odd")
    flow_size: int = Field(192, gt=0, multiple_of=2, description="channels of the latent variable")
    prior_encoder_num_flows: int = Field(4, gt=0, description="coupling layers of the flow")
    prior_encoder_num_wavenet_layers: int = Field(4, gt=0, description="WaveNet layers of a coupling layer")
    posterior_encoder_num_wavenet_layers: int = Field(16, gt=0, description="of the posterior encoder")
    wavenet_kernel_size: int = Field(5, gt=0, description="frames a WaveNet layer sees, odd")
    wavenet_dilation_rate: int = Field(1, gt=0, description="dilation of layer n is this to the power of n")
    upsample_initial_channel: int = Field(512, gt=0, description="channels at the decoder's input")
    upsample_rates: tuple[int, ...] = Field((8, 8, 2, 2), description="their product is the hop, in samples")
    upsample_kernel_sizes: tuple[int, ...] = Field((16, 16, 4, 4), description="one a rate")
    resblock_kernel_sizes: tuple[int, ...] = Field((3, 7, 11), description="of the decoder's residual blocks")
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = Field(
        ((1, 3, 5), (1, 3, 5), (1, 3, 5)), description="one list a kernel size"
    )
    use_stochastic_duration_prediction: bool = Field(
        True, description="false: one duration, learnt by regression"
    )
    duration_predictor_num_flows: int = Field(4, gt=1, description="of the stochastic predictor")
    duration_predictor_flow_bins: int = Field(10, gt=1, description="bins of its splines")
    duration_predictor_kernel_size: int = Field(3, gt=0, description="symbols a layer of it sees, odd")
    duration_predictor_filter_channels: int = Field(256, gt=0, description="of the deterministic predictor")
    speaker_embedding_size: int = Field(256, gt=0, description="used where there are two speakers or more")
    hidden_dropout: float = Field(0.1, ge=0, lt=1, description="dropout of the text encoder")
    duration_predictor_dropout: float = Field(
        0.5, ge=0, lt=1, description="dropout of the duration predictor"
    )
    segment_frames: int = Field(32, gt=0, description="frames of the stretch the decoder learns from")
    mode: Literal["gan", "simple"] = Field(
        "gan", description="simple: mel L1 without discriminators, small and fast, clearly worse speech"
    )
    discriminator: DiscriminatorSettings = Field(
        default_factory=DiscriminatorSettings, description="the discriminators"
    )
    loss: LossSettings = Field(default_factory=LossSettings, description="weights of the losses")
    noise_scale: float = Field(0.667, ge=0, description="variation of the voice when it speaks")
    noise_scale_duration: float = Field(0.8, ge=0, description="variation of rhythm when it speaks")
    start: str = Field(
        "", description="VITS folder or hub id (e.g. facebook/mms-tts-amh) whose weights start it"
    )
    start_parts: Literal["all", "vocoder"] = Field(
        "all", description="vocoder: only decoder, posterior encoder and flow, for a new language or script"
    )
    start_discriminator: str = Field(
        "", description="discriminator file (MMS D_*.pth or .safetensors) to start from"
    )
    freeze: tuple[Literal["text", "duration", "posterior", "flow", "decoder"], ...] = Field(
        (), description="parts that keep their weights"
    )

    @model_validator(mode="after")
    def _fits(self) -> VitsSettings:
        faults = []
        if not SLOWEST <= self.mel.sample_rate <= FASTEST:
            faults.append(f"mel.sample_rate must be {SLOWEST} to {FASTEST}")
        if prod(self.upsample_rates) != self.mel.hop:
            faults.append(
                f"upsample_rates multiply to {prod(self.upsample_rates)}, mel.hop is {self.mel.hop}"
            )
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            faults.append("upsample_rates and upsample_kernel_sizes differ in number")
        if any(
            (k - r) % 2 or k < r
            for k, r in zip(self.upsample_kernel_sizes, self.upsample_rates, strict=False)
        ):
            faults.append("each of upsample_kernel_sizes must be its rate plus an even number")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            faults.append("resblock_kernel_sizes and resblock_dilation_sizes differ in number")
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            faults.append(f"upsample_initial_channel must be a multiple of {2 ** len(self.upsample_rates)}")
        segment = self.segment_frames * self.mel.hop
        for size, hop, _ in self.discriminator.resolutions:
            if (size - hop) // 2 >= segment:
                faults.append(
                    f"discriminator.resolutions: FFT size {size} is too long for {segment} samples of a segment"
                )
        if self.hidden_size % self.num_attention_heads or self.hidden_size % 2:
            faults.append("hidden_size must be even and a multiple of num_attention_heads")
        if faults:
            raise ValueError("; ".join(faults))
        return self


_SMALL_DISCRIMINATOR = {"period_channels": (16, 32, 64, 128), "scale_channels": (16, 64, 128, 256)}

PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "hidden_size": 96,
        "num_hidden_layers": 4,
        "ffn_dim": 384,
        "flow_size": 96,
        "upsample_initial_channel": 128,
        "discriminator": _SMALL_DISCRIMINATOR,
    },
    "mms": {},
    "tiny": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "ffn_dim": 32,
        "flow_size": 16,
        "prior_encoder_num_flows": 2,
        "prior_encoder_num_wavenet_layers": 2,
        "posterior_encoder_num_wavenet_layers": 3,
        "upsample_initial_channel": 32,
        "upsample_rates": (16, 16),
        "upsample_kernel_sizes": (32, 32),
        "resblock_kernel_sizes": (3,),
        "resblock_dilation_sizes": ((1, 3),),
        "duration_predictor_num_flows": 2,
        "duration_predictor_filter_channels": 16,
        "speaker_embedding_size": 8,
        "hidden_dropout": 0.0,
        "duration_predictor_dropout": 0.0,
        "segment_frames": 16,
        "discriminator": {"periods": (2, 3), "period_channels": (4, 8), "scale_channels": (4, 16)},
    },
}
