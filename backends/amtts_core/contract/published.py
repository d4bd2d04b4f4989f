"""What a backend declares about the published weights of its family, in `BackendSpec.published`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from amtts_core.contract.tokenizer_format import TokenizerFormat
from amtts_core.contract.types import TextTensor

if TYPE_CHECKING:
    from torch import Tensor

Mode = Literal["extend", "reuse"]
"""Where `amtts extend-vocab` puts new tokens: behind the last id, or at ids that no text can reach."""


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Published weights to start a training from.

    Attributes:
        model: network settings that the weights determine.
        load_into: loads the weights into a newly built `Backend` and logs what is newly initialized; returns the names
            of those parameters, which are trained with every training type.
    """

    model: dict[str, Any]
    load_into: Callable[[Any], Sequence[str]]


class TextProbe(Protocol):
    """Runs a network on text alone; every other input is fixed, so that the same text has the same outputs."""

    def __call__(
        self, weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
    ) -> dict[str, Tensor]:
        """Outputs by name; those named `text_logits` have the vocabulary on their last axis.

        Args:
            weights: under their published names, loaded strictly at their own sizes.
            config: the config file beside the weights; empty without one.
            sequences: text ids without start and stop; cut to what the network can read.

        Raises:
            CheckpointError: a tensor is missing, unexpected or of another size.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PublishedFormat:
    """The files of a family's published weights, for `amtts extend-vocab` and `amtts train --from`.

    Attributes:
        name: of the backend.
        aliases: other names that `amtts extend-vocab --backend` accepts.
        license: of the published weights.
        weight_files: patterns of their file names, the likeliest first.
        text_tensors: every tensor indexed by text tokens, by its published name; the first is an embedding. Empty
            where the vocabulary cannot be extended.
        text_names: regular expression that finds names of text tensors; one that is found and not declared, with as
            many rows, is refused: it would keep its size. Empty: no such check.
        size_keys: keys of the config file beside the weights that hold the number of text tokens; a dot separates a
            section from its key.
        modes: what `amtts extend-vocab --mode` accepts, the default first.
        tokenizer: file format of the tokenizers that come with the weights; None for weights without text.
        adapted_layers: the published layers, in order, whose outputs one of our layers joins, for LoRA adapters that
            others read; None: `amtts export --format peft` cannot write them.
        transposed_layers: the published files store those layers' matrices as (in, out).
        open_weights: the weights in a folder or file; an `AmttsError` where there are none, or not of this family.
        probe: compares outputs for existing text before and after; None: only the tensors are compared.
    """

    name: str
    aliases: tuple[str, ...] = ()
    license: str
    weight_files: tuple[str, ...]
    text_tensors: tuple[TextTensor, ...] = ()
    text_names: str = ""
    size_keys: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ("extend",)
    tokenizer: TokenizerFormat | None = None
    open_weights: Callable[[Path], PublishedWeights]
    adapted_layers: Callable[[str], Sequence[str]] | None = None
    transposed_layers: bool = False
    probe: TextProbe | None = None

    @property
    def landmark(self) -> str:
        """A tensor that all weights of the family have, by which they are recognized under any prefix."""
        return self.text_tensors[0].tensor if self.text_tensors else ""

    @property
    def is_extendable(self) -> bool:
        """Whether `amtts extend-vocab` can add symbols to its vocabulary."""
        return bool(self.text_tensors) and self.tokenizer is not None and self.tokenizer.extend is not None

    @property
    def text_format(self) -> TokenizerFormat:
        """`tokenizer` of weights that have a text vocabulary."""
        assert self.tokenizer is not None
        return self.tokenizer
