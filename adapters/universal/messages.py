"""What the two ends of a pipe tell each other: numbers as arrays, the rest as JSON, never a pickle."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from ase import Atoms

HEAD = struct.Struct(">8sQ")
"""Before a message: `SIGN`, and how many bytes it has."""
SIGN = b"answers\n"
"""Tells messages from what a Python prints when it starts."""
PARAMETER = "parameter:"
"""Begins the names of a network's parameters, which are anybody's."""
PLAIN = "plain"
"""Name of the array that holds everything that is none, as JSON."""


def send(stream: IO[bytes], message: Mapping[str, Any]) -> None:
    """Write a message."""
    arrays: dict[str, Any] = {name: one for name, one in message.items() if isinstance(one, np.ndarray)}
    plain = {name: one for name, one in message.items() if name not in arrays}
    packed = io.BytesIO()
    arrays[PLAIN] = np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)
    np.savez(packed, **arrays)
    content = packed.getbuffer()
    stream.write(HEAD.pack(SIGN, len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read a message; None if the other end is gone, `ValueError` if it says something else."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    sign, size = HEAD.unpack(head)
    if sign != SIGN:
        raise ValueError(f"it printed {head!r}")
    content = stream.read(size)
    if len(content) < size:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        message = {name: found[name] for name in found.files}
    plain: dict[str, Any] = json.loads(message.pop(PLAIN).tobytes())
    return plain | message


def digest_of(contents: Iterable[bytes]) -> str:
    """Return the SHA-256 of a file, or of the digests of several."""
    digests = [hashlib.sha256(one) for one in contents]
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(one.digest() for one in digests)).hexdigest()


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
