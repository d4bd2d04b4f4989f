"""A SentencePiece model file as a message, whichever protobuf is installed.

The module that comes with SentencePiece refuses a protobuf older than the one it was generated with, and one extra of
amtts (`descript`) needs an old one. So the fields that are changed here are declared again, with the numbers of
`sentencepiece_model.proto`; all others pass through as unknown fields, byte for byte.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

PACKAGE = "amtts.sentencepiece"
MODULES = ("descriptor_pb2", "descriptor_pool", "message_factory")
PIECES = ("SentencePiece", (("piece", 1, "STRING", ""), ("score", 2, "FLOAT", ""), ("type", 3, "INT32", "1")))
TRAINER = ("TrainerSpec", (("model_type", 3, "INT32", "1"), ("vocab_size", 4, "INT32", "8000")))


def parse_model(model: bytes) -> Any:
    """The message of a serialized model: `pieces` (piece, score, type), `trainer_spec` (model_type, vocab_size).

    Raises:
        google.protobuf.message.DecodeError: no such message.
    """
    proto = _message_class()()
    proto.ParseFromString(model)
    return proto


@lru_cache(maxsize=1)
def _message_class() -> Any:
    protobuf: Any = [importlib.import_module(f"google.protobuf.{name}") for name in MODULES]
    descriptor_pb2, descriptor_pool, message_factory = protobuf
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="amtts_sentencepiece.proto", package=PACKAGE, syntax="proto2"
    )
    for name, fields in (PIECES, TRAINER):
        message = file.message_type.add(name=name)
        for field, number, kind, default in fields:
            message.field.add(
                name=field,
                number=number,
                type=getattr(kinds, f"TYPE_{kind}"),
                label=kinds.LABEL_OPTIONAL,
                default_value=default or None,
            )
    whole = file.message_type.add(name="ModelProto")
    for field, number, label, kind in (
        ("pieces", 1, kinds.LABEL_REPEATED, "SentencePiece"),
        ("trainer_spec", 2, kinds.LABEL_OPTIONAL, "TrainerSpec"),
    ):
        whole.field.add(
            name=field,
            number=number,
            type=kinds.TYPE_MESSAGE,
            label=label,
            type_name=f".{PACKAGE}.{kind}",
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    described = pool.FindMessageTypeByName(f"{PACKAGE}.ModelProto")
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
        return message_factory.GetMessageClass(described)
    return message_factory.MessageFactory(pool).GetPrototype(described)
