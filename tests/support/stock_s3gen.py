"""The original S3Gen in a small size; imported by scripts that an interpreter with chatterbox-tts runs, never by amtts.

Only constructors' sizes are changed, and the two layers whose sizes the original has fixed are made anew.
"""

from __future__ import annotations

from typing import Any

import torch


def small_s3gen(sizes: dict[str, Any], *, meanflow: bool = False) -> Any:
    """`S3Token2Wav` with the sizes that a bundle states in config.json."""
    import s3tokenizer.model_v2 as model_v2
    from chatterbox.models.s3gen.decoder import ConditionalDecoder
    from chatterbox.models.s3gen.f0_predictor import ConvRNNF0Predictor
    from chatterbox.models.s3gen.flow import CausalMaskedDiffWithXvec
    from chatterbox.models.s3gen.flow_matching import CFM_PARAMS, CausalConditionalCFM
    from chatterbox.models.s3gen.hifigan import HiFTGenerator
    from chatterbox.models.s3gen.s3gen import S3Token2Wav
    from chatterbox.models.s3gen.transformer.upsample_encoder import (
        PreLookaheadLayer,
        Upsample1D,
        UpsampleConformerEncoder,
    )
    from chatterbox.models.s3gen.xvector import CAMPPlus

    class Small(S3Token2Wav):  # type: ignore[misc]
        """Without the half minute that building the full size takes."""

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

    model = Small()
    shared = model_v2.S3TokenizerV2.__init__.__defaults__[0]  # one mutable object for all tokenizers
    for key, value in sizes["tokenizer"].items():
        setattr(shared, key, value)
    from chatterbox.models.s3tokenizer import S3Tokenizer

    model.tokenizer = S3Tokenizer("speech_tokenizer_v2_25hz")
    from chatterbox.models.s3gen.utils.mel import mel_spectrogram

    model.mel_extractor = mel_spectrogram
    model.speaker_encoder = CAMPPlus(memory_efficient=False, **sizes["speaker"])
    model.meanflow = meanflow
    encoder = UpsampleConformerEncoder(
        dropout_rate=0.1,
        positional_dropout_rate=0.1,
        attention_dropout_rate=0.1,
        normalize_before=True,
        input_layer="linear",
        pos_enc_layer_type="rel_pos_espnet",
        selfattention_layer_type="rel_selfattn",
        use_cnn_module=False,
        macaron_style=False,
        **sizes["encoder"],
    )
    width = sizes["encoder"]["output_size"]
    encoder.pre_lookahead_layer = PreLookaheadLayer(channels=width, pre_lookahead_len=3)
    encoder.up_layer = Upsample1D(channels=width, out_channels=width, stride=2)
    estimator = ConditionalDecoder(
        causal=True, dropout=0.0, act_fn="gelu", meanflow=meanflow, **sizes["estimator"]
    )
    decoder = CausalConditionalCFM(spk_emb_dim=80, cfm_params=CFM_PARAMS, estimator=estimator)
    model.flow = CausalMaskedDiffWithXvec(input_size=width, encoder=encoder, decoder=decoder)
    model.resamplers = {}
    model.mel2wav = HiFTGenerator(
        base_channels=sizes["hift"]["base_channels"],
        sampling_rate=24000,
        upsample_rates=[8, 5, 3],
        upsample_kernel_sizes=[16, 11, 7],
        source_resblock_kernel_sizes=[7, 7, 11],
        source_resblock_dilation_sizes=[[1, 3, 5]] * 3,
        f0_predictor=ConvRNNF0Predictor(cond_channels=sizes["hift"]["f0_channels"]),
    )
    fade = torch.zeros(960)
    fade[480:] = (torch.cos(torch.linspace(torch.pi, 0, 480)) + 1) / 2
    model.register_buffer("trim_fade", fade, persistent=False)
    model.estimator_dtype = "fp32"
    return model.eval()
