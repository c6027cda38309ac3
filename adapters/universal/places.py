"""From what a study names to files: the environment, the weights, and what keys hold of both."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from crossprune.adapters.universal.backends import BACKENDS, Backend
from crossprune.adapters.universal.link import Place, downloaded
from crossprune.adapters.universal.messages import digest_of
from crossprune.adapters.universal.options import UniversalOptions
from crossprune.harness.errors import MissingPackage, StudyError, unknown_name

ENVIRONMENTS = "CROSSPRUNE_ENVIRONMENTS"
"""Of the environment: folders in which virtual environments may be used; a study alone starts no program."""
TRUSTED = "CROSSPRUNE_TRUSTED_WEIGHTS"
"""Of the environment: SHA-256 of files of weights whose code may run."""
PUBLISHED, FOLDER = "CROSSPRUNE_DATA", "universal"
"""Of the environment: folders of published data; and the folder in these with weights, by their names."""


def backend_of(options: UniversalOptions) -> tuple[str, Backend, str]:
    """Split ``model`` into the name of the backend, the backend and the name of the model.

    Raises
    ------
    StudyError
        If there is no such backend, or ``modal`` is missing or of no use.
    """
    name, _, model = options.model.partition(":")
    if name not in BACKENDS:
        raise StudyError(unknown_name("backend of a universal model", name, BACKENDS))
    backend = BACKENDS[name]
    several = backend.modals.get(model, ())
    if several and options.modal not in several:
        choices = " or ".join(f'modal = "{one}"' for one in several)
        instead = f", not {options.modal!r}" if options.modal else ""
        raise StudyError(f"model {options.model!r} has several levels of theory: give {choices}{instead}")
    if options.modal and not several and (model in backend.published or not backend.has_modals):
        raise StudyError(f"modal is {options.modal!r}, and {options.model} has none; leave it out")
    return name, backend, model


def place_of(options: UniversalOptions, *, weights: Path | None = None) -> Place:
    """Find the environment and the weights of a model.

    Parameters
    ----------
    weights
        Where they are; None finds them, and lets the package fetch them if it can.

    Raises
    ------
    StudyError
        If the environment may not be used or is none, or there are no such weights.
    MissingPackage
        If the environment lacks the model's package.
    """
    versions_of(options)
    name, backend, _ = backend_of(options)
    weights = weights or weights_of(options)
    digest = _digest_of(weights, backend)
    if backend.runs_code and digest not in _listed(TRUSTED):
        raise StudyError(
            f"{weights}: loading weights of {name} runs code that is in the file; if you know where it comes "
            f"from, export {TRUSTED}={digest}"
        )
    python = python_of(options.environment)
    return Place(python, name, weights, backend.files, digest, options.modal, options.device)


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment; this one's for none."""
    if not environment:
        return Path(sys.executable)
    return folder_of(environment) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def folder_of(environment: str) -> Path:
    """Find a virtual environment that the user allows: inside a folder of `ENVIRONMENTS`.

    Raises
    ------
    StudyError
        If it is not there or not allowed.
    """
    allowed = [Path(os.path.normpath(_home(one).absolute())) for one in _listed(ENVIRONMENTS)]
    given = _home(environment)
    for candidate in [given] if given.is_absolute() else [folder / given for folder in allowed]:
        path = Path(os.path.normpath(candidate))
        if any(path.is_relative_to(folder) for folder in allowed) and (path / "pyvenv.cfg").is_file():
            return path
    raise StudyError(
        f"environment {environment!r} is no virtual environment inside a folder of {ENVIRONMENTS} "
        f"({', '.join(map(str, allowed)) or 'not set'}); a study alone starts no program: make it with "
        f"python -m venv, and export {ENVIRONMENTS}=…, the folder that it lies in"
    )


def versions_of(options: UniversalOptions) -> dict[str, str]:
    """Return the versions of a model's packages in its environment, found without running anything there.

    Raises
    ------
    MissingPackage
        If one is not there.
    """
    name, backend, _ = backend_of(options)
    packages = _packages(options.environment)
    found = {one: _version(one, packages) for one in backend.distributions}
    if missing := [one for one, version in found.items() if not version]:
        if options.environment:
            what = f"model {options.model!r} in the environment {options.environment!r}"
        elif name == "mace":
            what = f"model {options.model!r} (in an environment of its own, named by `environment`)"
        else:
            raise MissingPackage(f"model {options.model!r}", ", ".join(missing), "crossprune[universal]")
        raise MissingPackage(what, ", ".join(missing), backend.distributions[0])
    beside = {one: _version(one, packages) for one in backend.beside}
    return found | {one: version for one, version in beside.items() if version}


def _packages(environment: str) -> tuple[str, ...]:
    """Return the folders of installed packages."""
    if not environment:
        return tuple(sys.path)
    folders = sorted(folder_of(environment).glob("lib/python3.*/site-packages"))
    return tuple(map(str, folders or [folder_of(environment) / "Lib" / "site-packages"]))


def _version(distribution: str, packages: tuple[str, ...]) -> str:
    found = next(iter(metadata.distributions(name=distribution, path=list(packages))), None)
    return "" if found is None else found.version


def weights_of(options: UniversalOptions, *, fetch: bool = True) -> Path:
    """Return the file or folder of a model's weights: the package's own, a whole path, or a name beside data.

    Raises
    ------
    StudyError
        If there are none.
    """
    name, backend, model = backend_of(options)
    if pattern := backend.published.get(model):
        for folder in _packages(options.environment):
            if files := sorted(Path(folder).glob(pattern)):
                return files[-1]
    given = _home(model)
    candidates = [given] if given.is_absolute() else []
    candidates += [Path(one) / FOLDER / model for one in _listed(PUBLISHED) if model and not candidates]
    for candidate in candidates:
        if _is_whole(candidate, backend):
            return candidate
    if fetch and backend.downloads and model and os.sep not in model:
        return downloaded(python_of(options.environment), name, model)
    raise StudyError(
        f"model {options.model!r}: no weights there ({', '.join(map(str, candidates)) or 'no whole path'}); "
        f"give {name}: and the whole path "
        + (f"of a folder with {' and '.join(backend.files)}" if backend.files else "of a file")
        + f", a name in the folder {FOLDER} of a folder in {PUBLISHED}"
        + (f", or one that the package carries: {', '.join(backend.published)}" if backend.published else "")
    )


def _is_whole(path: Path, backend: Backend) -> bool:
    try:
        return all((path / file).is_file() for file in backend.files) and (
            path.is_dir() if backend.files else path.is_file()
        )
    except (OSError, ValueError):  # of names that no file can have
        return False


def _digest_of(weights: Path, backend: Backend) -> str:
    """Return the digest of weights; a worker compares it with what it reads."""
    files = [weights / file for file in backend.files] or [weights]
    return _digest(tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@functools.cache
def _digest(stamps: tuple[tuple[str, int, int], ...]) -> str:
    return digest_of(Path(path).read_bytes() for path, _, _ in stamps)


def stated(options: UniversalOptions) -> Mapping[str, str]:
    """Return what keys hold of a model: backend, modal, and the content of its weights."""
    name, backend, _ = backend_of(options)
    return {"backend": name, "modal": options.modal, "weights": _digest_of(weights_of(options), backend)}


def _listed(variable: str) -> list[str]:
    return [one for one in os.environ.get(variable, "").split(os.pathsep) if one]


def _home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no such user
        return Path(text)
