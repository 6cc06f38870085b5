"""The protocol's messages, made from inference.binpb when they are first wanted.

They live in a pool of their own, since protobuf's common pool can't hold two copies of the protocol, and a program may have one
of its own. No code is generated, so that any version of protobuf reads them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from salver.errors import InputError

SERVICE = "inference.GRPCInferenceService"


@cache
def pool() -> DescriptorPool:
    """The descriptors of the service."""
    made = DescriptorPool()
    for file in FileDescriptorSet.FromString((files("salver.server.rpc") / "inference.binpb").read_bytes()).file:
        made.AddSerializedFile(file.SerializeToString())
    return made


@cache
def message(name: str) -> Any:
    """The class of a message, by its name in the package."""
    return GetMessageClass(pool().FindMessageTypeByName(f"inference.{name}"))


def parsed(kind: Any, content: bytes) -> Any:
    """A message of that class. Raises InputError."""
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise InputError(f"a message is no {kind.DESCRIPTOR.name}", code="invalid_body") from error
