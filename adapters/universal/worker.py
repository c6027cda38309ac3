"""The process that holds a network: started by `link`, in an environment with the network's packages.

It imports nothing of crossprune but this room's own modules: the environment need not have it installed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from crossprune.adapters.universal.messages import PARAMETER, digest_of, receive, send, unpack_frames
from crossprune.adapters.universal.networks.network import Network, evaluate, set_parameters

Answer = Mapping[str, Any]


class Worker:
    """Answers questions about one model."""

    def __init__(self) -> None:
        self.network: Network | None = None
        self._published: dict[str, np.ndarray[Any, Any]] = {}

    def load(self, *, backend: str, weights: list[str], digest: str, modal: str, device: str) -> Answer:
        """Load the weights from what was read of their files once, and say what the model is."""
        contents = [Path(one).read_bytes() for one in weights]
        if digest_of(contents) != digest:
            raise ValueError("the weights are not those that were asked for: the file has changed since")
        self.network = _class_of(backend)(contents, modal, _device_of(device))
        parameters = dict(self.network.module.named_parameters())
        return {
            "elements": list(self.network.elements),
            "cutoff": self.network.cutoff,
            "device": str(next(iter(parameters.values())).device),
            "n_parameters": sum(one.numel() for one in parameters.values()),
        }

    def download(self, *, backend: str, name: str) -> Answer:
        """Fetch a published model into the cache of its package; return where its weights are."""
        return {"weights": str(_class_of(backend).download(name))}

    def compute(self, *, mix: Any = None, slopes: bool = False, **frames: Any) -> Answer:
        """Compute what `crossprune.adapters.universal.networks.network.evaluate` says, of several frames."""
        network = self._loaded()
        found = [evaluate(network, atoms, mix=mix, slopes=slopes) for atoms in unpack_frames(frames)]
        return {
            "energies": np.array([one.energy for one in found]),
            "forces": np.concatenate([np.empty((0, 3)), *(one.forces for one in found)]),
            "stresses": np.array([one.stress for one in found]).reshape(-1, 6),
            "features": np.concatenate([one.features for one in found]),
            "slopes": np.concatenate([one.slopes for one in found], axis=1),
            "strained": np.array([one.strained for one in found]),
        }

    def become(self, **arrays: Any) -> Answer:
        """Take these parameters, by their names after a prefix; those of the published model for others."""
        module = self._loaded().module
        own = {name: one.detach().cpu().numpy().copy() for name, one in module.named_parameters()}
        self._published = self._published or own
        given = {name.removeprefix(PARAMETER): one for name, one in arrays.items()}
        set_parameters(module, {**self._published, **given})
        return {}

    def train(self, **task: Any) -> Answer:
        """Fine-tune; return the parameters that changed, and how it went."""
        from crossprune.adapters.universal.training import fine_tune

        self.become()
        return fine_tune(self._loaded(), self._published, task)

    def _loaded(self) -> Network:
        if self.network is None:
            raise ValueError("no weights were loaded")
        return self.network


def _class_of(backend: str) -> type[Network]:
    """Import one network; the environment has the packages of this one, and need not have others'."""
    if backend == "chgnet":
        from crossprune.adapters.universal.networks.chgnet import Chgnet

        return Chgnet
    if backend == "mace":
        from crossprune.adapters.universal.networks.macenet import Mace

        return Mace
    if backend == "sevenn":
        from crossprune.adapters.universal.networks.sevennet import Sevennet

        return Sevennet
    from crossprune.adapters.universal.networks.graphs import Diep, Matgl

    return {"diep": Diep, "matgl": Matgl}[backend]


def _device_of(name: str) -> torch.device:
    """Return the device; ``auto`` is a graphics card where there is one."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("device is 'cuda', and PyTorch sees no graphics card; give 'cpu' or 'auto'")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and there) else "cpu")


def main(parent: int, answers: BinaryIO) -> None:
    """Answer questions from the standard input until it is closed, or the process ``parent`` is gone."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    questions = sys.stdin.buffer
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    torch.set_num_threads(int(threads) if threads.isdecimal() and int(threads) else 1)
    worker = Worker()
    while (question := receive(questions)) is not None:
        method: Callable[..., Answer] = getattr(worker, question.pop("do"))
        number = question.pop("number")
        try:
            answer = dict(method(**question))
        except torch.cuda.OutOfMemoryError as error:
            answer = {"failed": str(error), "kind": "memory"}
        except Exception as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}", "kind": "error"}
        send(answers, {**answer, "number": number})


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
