"""From what a study names to files: the environment, the weights, and what keys hold of both."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from crossprune.adapters.universal.backends import BACKENDS, Backend
from crossprune.adapters.universal.link import Place, downloaded
from crossprune.adapters.universal.options import UniversalOptions
from crossprune.harness.errors import MissingPackage, StudyError, unknown_name

ENVIRONMENTS = "CROSSPRUNE_ENVIRONMENTS"
"""Of the environment: folders in which virtual environments may be used; a study alone starts no program."""
TRUSTED = "CROSSPRUNE_TRUSTED_WEIGHTS"
"""Of the environment: SHA-256 of files of weights whose code may run."""
PUBLISHED, FOLDER = "CROSSPRUNE_DATA", "universal"
"""Of the environment: folders of published data; and the folder in these with weights, by their names."""


def backend_of(options: UniversalOptions) -> tuple[str, Backend, str]:
    """Split ``model`` into the name of the backend, the backend and the name of the model."""
    name, _, model = options.model.partition(":")
    if name not in BACKENDS:
        raise StudyError(unknown_name("backend of a universal model", name, BACKENDS))
    return name, BACKENDS[name], model


def place_of(options: UniversalOptions) -> Place:
    """Find the environment and the weights of a model.

    Raises
    ------
    StudyError
        If the environment may not be used or is none, or there are no such weights.
    MissingPackage
        If the environment lacks the model's package.
    """
    versions_of(options)
    name, _, _ = backend_of(options)
    weights = weights_of(options)
    require_trust(options, weights)
    return Place(python_of(options.environment), name, weights, options.modal, options.device)


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
    allowed = [Path(one).expanduser().absolute() for one in _listed(ENVIRONMENTS)]
    given = Path(environment).expanduser()
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
    found = {one: _version(one, _packages(options.environment)) for one in backend.distributions}
    if missing := [one for one, version in found.items() if not version]:
        where = f"environment {options.environment!r}" if options.environment else "this environment"
        advice = (
            f"{backend.distributions[0]}, and name it in `environment`"
            if options.environment or name == "mace"
            else "crossprune[universal]"
        )
        raise MissingPackage(f"model {options.model!r} in {where}", ", ".join(missing), advice)
    return found


def _packages(environment: str) -> tuple[str, ...]:
    """Return the folders of installed packages."""
    if not environment:
        return tuple(sys.path)
    folders = sorted(folder_of(environment).glob("lib/python3.*/site-packages"))
    return tuple(map(str, folders or [folder_of(environment) / "Lib" / "site-packages"]))


def _version(distribution: str, packages: tuple[str, ...]) -> str:
    found = next(iter(metadata.distributions(name=distribution, path=list(packages))), None)
    return "" if found is None else found.version


def weights_of(options: UniversalOptions) -> Path:
    """Return the file or folder of a model's weights: a path, a name beside the data, or the package's own.

    Raises
    ------
    StudyError
        If there are none.
    """
    name, backend, model = backend_of(options)
    candidates = [Path(model).expanduser()] if model else []
    candidates += [Path(one) / FOLDER / model for one in _listed(PUBLISHED) if model]
    for candidate in candidates:
        if _is_whole(candidate, backend):
            return candidate.absolute()
    if pattern := backend.published.get(model):
        for folder in _packages(options.environment):
            if files := sorted(Path(folder).glob(pattern)):
                return files[-1]
    if backend.downloads and model and os.sep not in model:
        return downloaded(python_of(options.environment), name, model)
    raise StudyError(
        f"model {options.model!r}: no weights there ({', '.join(map(str, candidates)) or 'no name'}); give "
        f"{name}:PATH"
        + (f" of a folder with {' and '.join(backend.files)}" if backend.files else " of a file")
        + (f", or one that the package carries: {', '.join(backend.published)}" if backend.published else "")
    )


def _is_whole(path: Path, backend: Backend) -> bool:
    if backend.files:
        return all((path / file).is_file() for file in backend.files)
    return path.is_file()


def digest_of(weights: Path, backend: Backend) -> str:
    """Return the SHA-256 of weights: of the file, or of the files of a folder in their order."""
    files = [weights / file for file in backend.files] or [weights]
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _digest(stamps)


@functools.cache
def _digest(stamps: tuple[tuple[str, int, int], ...]) -> str:
    total = hashlib.sha256()
    for path, _, _ in stamps:
        with Path(path).open("rb") as stream:
            one = hashlib.file_digest(stream, "sha256")
        total = one if len(stamps) == 1 else _added(total, one)
    return total.hexdigest()


def _added(total: hashlib._Hash, one: hashlib._Hash) -> hashlib._Hash:
    total.update(one.digest())
    return total


def require_trust(options: UniversalOptions, weights: Path) -> None:
    """Refuse weights whose format holds code, unless the user names their digest in `TRUSTED`.

    Raises
    ------
    StudyError
        If it is not named.
    """
    name, backend, _ = backend_of(options)
    digest = digest_of(weights, backend)
    if backend.runs_code and digest not in _listed(TRUSTED):
        raise StudyError(
            f"{weights}: loading weights of {name} runs code that is in the file; if you know where it comes "
            f"from, export {TRUSTED}={digest}"
        )


def stated(options: UniversalOptions) -> Mapping[str, str]:
    """Return what keys hold of a model: backend, modal, and the content of its weights."""
    name, backend, _ = backend_of(options)
    return {"backend": name, "modal": options.modal, "weights": digest_of(weights_of(options), backend)}


def _listed(variable: str) -> list[str]:
    return [one for one in os.environ.get(variable, "").split(os.pathsep) if one]
