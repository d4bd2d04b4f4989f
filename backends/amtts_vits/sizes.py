"""Sizes of a generator by the names of transformers' `VitsConfig`, so that a published config.json is read as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class GeneratorSizes(BaseModel):
    """What decides which tensors a generator has, and how it speaks; defaults are those of `VitsConfig`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    vocab_size: int = Field(38, gt=0)
    hidden_size: int = Field(192, gt=0)
    num_hidden_layers: int = Field(6, gt=0)
    num_attention_heads: int = Field(2, gt=0)
    window_size: int = Field(4, gt=0)
    use_bias: bool = True
    ffn_dim: int = Field(768, gt=0)
    ffn_kernel_size: int = Field(3, gt=0)
    flow_size: int = Field(192, gt=0)
    spectrogram_bins: int = Field(513, gt=1)
    hidden_act: str = "relu"
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    layer_norm_eps: float = 1e-5
    use_stochastic_duration_prediction: bool = True
    num_speakers: int = Field(1, gt=0)
    speaker_embedding_size: int = Field(0, ge=0)
    upsample_initial_channel: int = Field(512, gt=0)
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    leaky_relu_slope: float = 0.1
    depth_separable_channels: int = Field(2, gt=0)
    depth_separable_num_layers: int = Field(3, gt=0)
    duration_predictor_flow_bins: int = Field(10, gt=1)
    duration_predictor_tail_bound: float = 5.0
    duration_predictor_kernel_size: int = Field(3, gt=0)
    duration_predictor_dropout: float = 0.5
    duration_predictor_num_flows: int = Field(4, gt=0)
    duration_predictor_filter_channels: int = Field(256, gt=0)
    prior_encoder_num_flows: int = Field(4, gt=0)
    prior_encoder_num_wavenet_layers: int = Field(4, gt=0)
    posterior_encoder_num_wavenet_layers: int = Field(16, gt=0)
    wavenet_kernel_size: int = Field(5, gt=0)
    wavenet_dilation_rate: int = Field(1, gt=0)
    wavenet_dropout: float = 0.0
    noise_scale: float = 0.667
    noise_scale_duration: float = 0.8
    sampling_rate: int = Field(16000, gt=0)
    weight_norm: bool = Field(True, exclude=True)
    """WaveNets hold length and direction of their weights apart, as they are trained and published."""

    @model_validator(mode="after")
    def _can_be_built(self) -> GeneratorSizes:
        if self.hidden_act != "relu":
            raise ValueError(f"hidden_act is '{self.hidden_act}'; published networks have 'relu'")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {self.num_attention_heads}"
            )
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ValueError("upsample_rates and upsample_kernel_sizes differ in number")
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> GeneratorSizes:
        """Of a config.json.

        Raises:
            ValueError: one line that names the first value that cannot be.
        """
        from pydantic import ValidationError

        if not isinstance(values, Mapping):
            raise ValueError("no JSON object")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ValueError(f"{where}: {fault['msg']}" if where else str(fault["msg"])) from None

    def published(self) -> dict[str, Any]:
        """Arguments of a `VitsConfig`; its layerdrop is 0, because the paper skips no layer."""
        return {**self.model_dump(mode="json"), "layerdrop": 0.0}
