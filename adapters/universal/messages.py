"""What the two ends of a pipe tell each other: numbers as arrays, the rest as JSON, never a pickle."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms

HEAD = struct.Struct(">Q")
"""Bytes of a message, before it."""
PLAIN = "plain"
"""Name of the array that holds everything that is none, as JSON."""


def send(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write a message."""
    arrays = {name: one for name, one in message.items() if isinstance(one, np.ndarray)}
    plain = {name: one for name, one in message.items() if name not in arrays}
    packed = io.BytesIO()
    np.savez(packed, **arrays, **{PLAIN: np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)})
    content = packed.getbuffer()
    stream.write(HEAD.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any] | None:
    """Read a message; None if the other end is gone."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    content = stream.read(HEAD.unpack(head)[0])
    if len(content) < HEAD.unpack(head)[0]:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        message = {name: found[name] for name in found.files}
    plain: dict[str, Any] = json.loads(message.pop(PLAIN).tobytes())
    return plain | message


def pack_frames(frames: Sequence[Atoms]) -> dict[str, np.ndarray[Any, Any]]:
    """Return structures, each with three cell vectors, as arrays."""
    return {
        "sizes": np.array([len(atoms) for atoms in frames], dtype=np.int64),
        "numbers": np.concatenate([np.empty(0, dtype=np.int64), *(atoms.numbers for atoms in frames)]),
        "positions": np.concatenate([np.empty((0, 3)), *(atoms.positions for atoms in frames)]),
        "cells": np.array([np.array(atoms.cell) for atoms in frames]).reshape(-1, 3, 3),
    }


def unpack_frames(message: Mapping[str, Any]) -> list[Atoms]:
    """Return the structures of `pack_frames`, periodic along all vectors."""
    ends = np.cumsum(message["sizes"])[:-1]
    parts = (np.split(message[name], ends) for name in ("numbers", "positions"))
    return [
        Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
        for numbers, positions, cell in zip(*parts, message["cells"], strict=True)
    ]
