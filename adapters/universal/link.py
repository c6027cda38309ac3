"""The end of the pipe on this side: starts workers, asks them, and says clearly what went wrong."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ase import Atoms
from crossprune.adapters.programs.launchers import without_launcher
from crossprune.adapters.universal.messages import PARAMETER, pack_frames, receive, send
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import CellCrash, CellOutOfMemory, DataError, StudyError

MOST_WORKERS = 2
"""Per process: a worker holds PyTorch and a model, up to a gigabyte."""
TAIL_BYTES = 1500
"""How much of the end of what a worker printed an error message shows."""
ROOM = __name__.rpartition(".")[0]
START = """
import sys
sys.path = [one for one in sys.path if one]
import os, types
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
parent, folder, room = int(sys.argv[1]), sys.argv[2], sys.argv[3]
parts = room.split(".")
for n in range(1, len(parts) + 1):
    package = sys.modules[".".join(parts[:n])] = types.ModuleType(".".join(parts[:n]))
    package.__path__ = [folder] if n == len(parts) else []
__import__(room + ".worker", fromlist=["main"]).main(parent, answers)
"""
"""Runs in the worker's interpreter, which sees of crossprune only this room, and nothing of the working
directory. What packages print goes where errors go, not between answers."""
NO_CARD = "device is 'cuda'"
"""Begins what a worker says where there is no graphics card."""
LONGEST_START = 300.0
"""s; PyTorch from a cold disk takes a minute."""


@dataclass(frozen=True)
class Place:
    """Where a model is computed, and which."""

    python: Path
    """Interpreter of the environment."""
    backend: str
    weights: Path
    """A file, or a folder with some."""
    files: tuple[str, ...]
    """Of the folder, in the order of the digest; empty for a file."""
    digest: str
    """Of the content of the weights: see `crossprune.adapters.universal.messages.digest_of`."""
    modal: str
    device: str

    @property
    def paths(self) -> list[Path]:
        """Files of the weights."""
        return [self.weights / one for one in self.files] or [self.weights]


@dataclass(frozen=True)
class Answer:
    """What a model says of several structures, concatenated in their order.

    ``energies`` eV, shape (n_frames,); ``forces`` eV/Å, shape (Σ n_atoms, 3); ``stresses`` eV/Å³, shape
    (n_frames, 6), ASE's order and sign; ``features``, shape (Σ n_atoms, n_features), no unit. Where asked
    for: ``slopes``, minus the derivatives of each feature's sum over atoms by positions, 1/Å, shape
    (n_features, Σ n_atoms, 3), and ``strained``, those by strain over the volume, 1/Å³, shape
    (n_frames, n_features, 6).
    """

    energies: FloatArray
    forces: FloatArray
    stresses: FloatArray
    features: FloatArray
    slopes: FloatArray
    strained: FloatArray


@dataclass
class Link:
    """A worker; it ends when this object or this process does."""

    place: Place
    facts: Mapping[str, Any] = field(init=False)
    """``elements``, ``cutoff`` (Å), ``device``, ``n_parameters``."""

    def __post_init__(self) -> None:
        self._lock, self._state, self._number = threading.RLock(), "", 0
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the worker has died
        place = self.place
        asked = {name: getattr(place, name) for name in ("backend", "digest", "modal", "device")}
        try:
            self._process = _start(place.python, self._said)
            self.facts = self._ask("load", {**asked, "weights": [str(one) for one in place.paths]})
        except CellCrash as error:
            self.close()
            what = "cannot be started" if NO_CARD in str(error) else f"cannot load {place.weights}"
            raise StudyError(f"{place.backend} {what}: {error}") from None
        except BaseException:
            self.close()
            raise

    def compute(
        self,
        frames: Sequence[Atoms],
        *,
        mix: FloatArray | None = None,
        slopes: bool = False,
        state: tuple[str, Mapping[str, FloatArray]] = ("", {}),
    ) -> Answer:
        """Compute structures that are periodic along three vectors.

        Parameters
        ----------
        mix
            Factor on the energy, then one for each feature's sum over atoms, eV; None for the energy alone.
        slopes
            Whether to differentiate the features.
        state
            A name, and the parameters that differ from the published ones.

        Raises
        ------
        CellCrash, CellOutOfMemory
            If the model fails.
        """
        with self._lock:
            if state[0] != self._state:
                self._state = "unknown"
                self._ask("become", {f"{PARAMETER}{name}": one for name, one in state[1].items()})
                self._state = state[0]
            asked = {**pack_frames(frames), "slopes": slopes} | ({} if mix is None else {"mix": mix})
            return Answer(**self._ask("compute", asked))

    def train(self, frames: Sequence[Atoms], task: Mapping[str, Any]) -> dict[str, Any]:
        """Fine-tune the published parameters: see `crossprune.adapters.universal.training.fine_tune`."""
        with self._lock:
            self._state = "unknown"
            return self._ask("train", {**pack_frames(frames), **task})

    def _ask(self, what: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """Ask and wait; whoever is interrupted in between ends the worker, whose next answer is to this."""
        self._number += 1
        try:
            answer = self._exchange({"do": what, "number": self._number, **question}, first=what == "load")
        except BaseException:
            self.close()
            raise
        if "failed" in answer:
            error = CellOutOfMemory if answer["kind"] == "memory" else CellCrash
            raise error(str(answer["failed"]))
        return {name: one for name, one in answer.items() if name != "number"}

    def _exchange(self, question: Mapping[str, Any], *, first: bool) -> dict[str, Any]:
        process, name = self._process, self.place.backend
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, question)
            if first and not select.select([process.stdout], [], [], LONGEST_START)[0]:
                raise CellCrash(f"the worker of {name} says nothing for {LONGEST_START:g} s: {self._tail()}")
            answer = receive(process.stdout)
        except (BrokenPipeError, ConnectionError):
            answer = None
        except ValueError as error:
            raise CellCrash(f"the worker of {name} does not answer as one: {error}") from None
        if answer is None:
            raise CellCrash(f"the worker of {name} ended with {process.wait()}: {self._tail()}")
        if answer.get("number") != question["number"]:
            raise CellCrash(f"the worker of {name} answered another question")
        return answer

    def _tail(self) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - TAIL_BYTES))
        return self._said.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the worker once it has answered; the next question to its place starts another."""
        with self._lock:
            if _LINKS.get((os.getpid(), self.place)) is self:
                del _LINKS[os.getpid(), self.place]
            if (process := getattr(self, "_process", None)) is not None:
                process.kill()
                with contextlib.suppress(BrokenPipeError):  # what it was told last
                    process.communicate()
            self._said.close()


def _start(python: Path, said: Any) -> subprocess.Popen[bytes]:
    environment = {**without_launcher(os.environ), "PYTHONNOUSERSITE": "1"}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        environment.pop(name, None)
    command = [str(python), "-c", START, str(os.getpid()), str(Path(__file__).parent), ROOM]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment
        )
    except OSError as error:
        raise StudyError(f"{python} does not start: {error.strerror}") from None


_LINKS: OrderedDict[tuple[int, Place], Link] = OrderedDict()
_LOCK = threading.RLock()


def link_to(place: Place) -> Link:
    """Return this process's worker for a model, started when first needed; the longest unused one ends."""
    key = (os.getpid(), place)
    with _LOCK:
        for other in [one for one in _LINKS if one[0] != key[0]]:
            del _LINKS[other]  # a parent's: not ours to close
        if key not in _LINKS:
            while len(_LINKS) >= MOST_WORKERS:
                next(iter(_LINKS.values())).close()
            _LINKS[key] = Link(place)
        _LINKS.move_to_end(key)
        return _LINKS[key]


@functools.cache
def downloaded(python: Path, backend: str, name: str) -> Path:
    """Let a package fetch a published model into its cache; return where the weights are.

    Raises
    ------
    StudyError
        If it cannot: there is no such model, or no network.
    """
    answer: dict[str, Any] | None = None
    with tempfile.TemporaryFile() as said:
        process = _start(python, said)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionError, ValueError):
            send(process.stdin, {"do": "download", "number": 0, "backend": backend, "name": name})
            answer = receive(process.stdout)
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.communicate()
    answer = answer or {"failed": "its worker does not answer"}
    if "failed" in answer:
        reason = " ".join(str(answer["failed"]).split())
        raise StudyError(
            f"model {backend}:{name}: {backend} cannot fetch it by that name ({reason}); give the whole path "
            "of its weights"
        )
    return Path(answer["weights"])


def require_known(atoms: Atoms, elements: Sequence[str], model: str) -> None:
    """Raise `DataError` if a structure is empty, or has an element that a model was not made for."""
    if len(atoms) == 0:
        raise DataError("a structure has no atoms")
    if unknown := sorted(set(atoms.get_chemical_symbols()) - set(elements)):
        raise DataError(f"{model} knows {len(elements)} elements, and not {', '.join(unknown)}")


def entry() -> Callable[[int, BinaryIO], None]:
    """Return what a worker runs, for a debugger; by this import, keys of fits know the worker's code."""
    from crossprune.adapters.universal.worker import main

    return main
