"""The end of the pipe on this side: starts workers, asks them, and says clearly what went wrong."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from crossprune.adapters.programs.launchers import without_launcher
from crossprune.adapters.universal.messages import pack_frames, receive, send
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import CellCrash, CellOutOfMemory, DataError, StudyError

MOST_WORKERS = 2
"""Per process: a worker holds PyTorch and a model, up to a gigabyte."""
TAIL_BYTES = 1500
"""How much of the end of what a worker printed an error message shows."""
ROOM = __name__.rpartition(".")[0]
START = """
import ctypes, os, sys, types
parent, folder, room = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != parent:
        os._exit(1)
parts = room.split(".")
for n in range(1, len(parts) + 1):
    package = sys.modules[".".join(parts[:n])] = types.ModuleType(".".join(parts[:n]))
    package.__path__ = [folder] if n == len(parts) else []
__import__(room + ".worker", fromlist=["main"]).main()
"""
"""Runs in the worker's interpreter: it dies with its parent, and sees of crossprune only this room."""


@dataclass(frozen=True)
class Place:
    """Where a model is computed, and which."""

    python: Path
    """Interpreter of the environment."""
    backend: str
    weights: Path
    modal: str
    device: str


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
        self._lock, self._state = threading.Lock(), ""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the worker has died
        asked = {name: str(getattr(self.place, name)) for name in ("backend", "weights", "modal", "device")}
        try:
            self._process = _start(self.place.python, self._said)
            self.facts = self._ask("load", asked)
        except CellCrash as error:
            self.close()
            raise StudyError(f"{self.place.backend} cannot load {self.place.weights}: {error}") from None
        except StudyError:
            self._said.close()
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
                self._ask("become", state[1])
                self._state = state[0]
            asked = {**pack_frames(frames), "slopes": slopes} | ({} if mix is None else {"mix": mix})
            return Answer(**self._ask("compute", asked))

    def train(self, frames: Sequence[Atoms], task: Mapping[str, Any]) -> dict[str, Any]:
        """Fine-tune the published parameters: see `crossprune.adapters.universal.training.fine_tune`."""
        with self._lock:
            self._state = "unknown"
            return self._ask("train", {**pack_frames(frames), **task})

    def _ask(self, what: str, question: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, {"do": what, **question})
            answer = receive(process.stdout)
        except (BrokenPipeError, ConnectionError):
            answer = None
        if answer is None:
            said = f"the worker of {self.place.backend} ended with {process.wait()}: {self._tail()}"
            if _LINKS.pop((os.getpid(), self.place), None):  # the next question starts another
                self.close()
            raise CellCrash(said)
        if "failed" in answer:
            error = CellOutOfMemory if answer["kind"] == "memory" else CellCrash
            raise error(f"{answer['failed']}")
        return answer

    def _tail(self) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - TAIL_BYTES))
        return self._said.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):  # what it was told last
            self._process.communicate()
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


def link_to(place: Place) -> Link:
    """Return this process's worker for a model, started when first needed; the longest unused one ends."""
    key = (os.getpid(), place)
    for other in [one for one in _LINKS if one[0] != key[0]]:
        del _LINKS[other]  # a parent's: not ours to close
    if key not in _LINKS:
        while len(_LINKS) >= MOST_WORKERS:
            _LINKS.popitem(last=False)[1].close()
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
    with tempfile.TemporaryFile() as said:
        process = _start(python, said)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, {"do": "download", "backend": backend, "name": name})
            answer = receive(process.stdout) or {"failed": f"its worker ended with {process.wait()}"}
        except (BrokenPipeError, ConnectionError):
            answer = {"failed": f"its worker ended with {process.wait()}"}
        finally:
            process.kill()
            process.communicate()
    if "failed" in answer:
        reason = " ".join(str(answer["failed"]).split())
        raise StudyError(
            f"model {backend}:{name} is no file, and {backend} cannot fetch it by that name ({reason}); "
            "give the path of its weights"
        )
    return Path(answer["weights"])


def require_known(atoms: Atoms, elements: Sequence[str], model: str) -> None:
    """Raise `DataError` if a structure has an element that a model was not made for."""
    if unknown := sorted(set(atoms.get_chemical_symbols()) - set(elements)):
        raise DataError(f"{model} knows {len(elements)} elements, and not {', '.join(unknown)}")


def entry() -> Callable[[], None]:
    """Return what a worker runs, for a debugger; by this import, keys of fits know the worker's code."""
    from crossprune.adapters.universal.worker import main

    return main
