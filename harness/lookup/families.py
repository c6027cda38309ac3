"""Reach families, adapters and published potentials by name, without importing any before it is asked for."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ase import Atoms
from crossprune.harness.contract import (
    HEADER,
    Adapter,
    Descriptor,
    Family,
    FileFormat,
    Fitter,
    Potential,
    read_header,
)
from crossprune.harness.errors import (
    DataError,
    DiskFull,
    MissingPackage,
    StudyError,
    UserError,
    unknown_name,
)
from crossprune.harness.fingerprint.requirements import unmet

FOR_TESTS = "broken"
"""The family that is of no use but to tests of the harness."""
GROUP = "crossprune.adapters"
"""Entry-point group through which packages from outside add families."""


@dataclass(frozen=True)
class BrokenFamily:
    """A family of a package from outside that cannot be used, and why."""

    name: str
    package: str
    """Distribution and version."""
    reason: str


def families() -> Mapping[str, Family]:
    """Return all families that can be used, inside and from outside, by name."""
    return _registry()[0]


def broken_families() -> Sequence[BrokenFamily]:
    """Return the families of packages from outside that cannot be used."""
    return _registry()[1]


@functools.cache  # looking through all installed packages takes tens of milliseconds
def _registry() -> tuple[dict[str, Family], list[BrokenFamily]]:
    inside: Sequence[Family] = importlib.import_module("crossprune.adapters").FAMILIES
    found, broken = {family.name: family for family in inside}, []
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        package = "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        try:
            family = _family_of(entry.name, entry.value, entry.load())
            _require_new_names(family, found.values())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a package from outside does when it is imported
            broken.append(BrokenFamily(entry.name, package, _reason(error)))
        else:
            found[family.name] = family
    return found, broken


def _family_of(name: str, target: str, loaded: object) -> Family:
    """Return what an entry point names; an adapter's class stands for a family without anything else."""
    if isinstance(loaded, type) and issubclass(loaded, (Descriptor, Fitter)):
        return Family(name=name, adapter=target, about=(loaded.__doc__ or "").strip().partition("\n")[0])
    if not isinstance(loaded, Family):
        raise StudyError(f"{target} is neither a Family nor the class of a Descriptor or Fitter")
    if loaded.name != name:
        raise StudyError(f"{target} is the family {loaded.name!r}, and the entry point is called {name!r}")
    return loaded


def _require_new_names(family: Family, others: Iterable[Family]) -> None:
    for other in others:
        if family.name == other.name:
            raise StudyError(f"there is a family {other.name!r} already: {other.adapter}; give another name")
        if other.name in family.potentials or family.name in other.potentials:
            raise StudyError(f"potentials of the family {other.name!r} are its own to read")
        for kind in ("readers", "potentials", "formats"):
            if taken := sorted(set(getattr(family, kind)) & set(getattr(other, kind))):
                raise StudyError(f"{kind} {', '.join(taken)}: taken by the family {other.name!r}")


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or ["no message"]
    return lines[0] if isinstance(error, StudyError) else f"{type(error).__name__}: {lines[0]}"


def family_of(name: str) -> Family:
    """Return a family by the name of its adapter.

    Raises
    ------
    StudyError
        If the name is unknown (with a suggestion) or belongs to a package that is broken.
    """
    if name in families():
        return families()[name]
    for one in broken_families():
        if one.name == name:
            raise StudyError(f"adapter {name!r} of {one.package} cannot be used: {one.reason}")
    raise StudyError(unknown_name("adapter", name, set(families()) - {FOR_TESTS}))


def missing_packages(name: str) -> tuple[str, ...]:
    """Return the packages that the family ``name`` needs and that are not installed, or are too old.

    Raises
    ------
    StudyError
        If the family requires an extra that its package does not have.
    """
    needed = family_of(name).requires
    return unmet(needed) if needed else ()


def require_packages(name: str, what: str = "") -> None:
    """Raise `MissingPackage` if the family ``name`` lacks a package; ``what`` it is needed for."""
    if missing := missing_packages(name):
        raise MissingPackage(what or f"adapter {name!r}", ", ".join(missing), family_of(name).requires)


@functools.cache
def adapter_class(name: str) -> type[Adapter[Any]]:
    """Import an adapter's class.

    Raises
    ------
    StudyError
        If the name is unknown (with a suggestion) or its module does not define the class.
    MissingPackage
        If its module cannot be imported without a package that is not installed.
    """
    family = family_of(name)
    cls = import_named(family.adapter, name)
    if not (isinstance(cls, type) and issubclass(cls, (Descriptor, Fitter))):
        raise StudyError(f"adapter {name!r}: {family.adapter} is neither a Descriptor nor a Fitter")
    if cls.name != name:
        raise StudyError(f"adapter {name!r}: the class {family.adapter} calls itself {cls.name!r}")
    saved = getattr(getattr(cls, "potential_type", None), "adapter", name)
    if saved not in (name, *family.potentials):
        raise StudyError(
            f"adapter {name!r}: its potentials are saved as {saved!r}, which its family does not read; "
            f"set adapter = {name!r} in the potential's class, or name it in the family's `potentials`"
        )
    return cls


def load_potential(source: str | Path) -> Potential:
    """Load a saved potential from its folder, or a published one by ``scheme:specification``.

    Raises
    ------
    DataError, StudyError
        If the folder holds no potential, or the scheme is unknown.
    """
    if guess := _guess(Path(source)):
        raise DataError(f"{str(source)!r} holds no saved potential; did you mean {guess!r}?")
    if Path(source).is_dir():
        cls, family = _potential_class(Path(source))
        return _loaded(cls.load, Path(source), f"{cls.__module__}:{cls.__qualname__}.load", family)
    readers = _offered("readers")
    scheme, _, rest = str(source).partition(":")
    if not rest:
        raise StudyError(
            f"{str(source)!r} is neither a folder with a saved potential nor SCHEME:..., "
            f"such as lammps:snap:Mo_Zuo_JPCA2020; known schemes: {', '.join(sorted(readers))}"
        )
    if scheme not in readers:
        raise StudyError(unknown_name("scheme", scheme, readers))
    target, family = readers[scheme]
    return _loaded(import_named(target, family), rest, target, family)


def _guess(path: Path) -> str:
    """Return what reads a potential's file, or those of a folder without a header, by their names."""
    if not path.is_file() and not (path.is_dir() and not (path / HEADER).exists()):
        return ""
    for pattern, (source, _) in _offered("files").items():
        for file in sorted(path.glob(pattern)) if path.is_dir() else [path]:
            if file.match(pattern):
                return str(source).replace("{file}", str(file)).replace("{folder}", str(file.parent))
    return ""


def _loaded(read: Callable[[Any], Any], source: Path | str, target: str, family: str) -> Potential:
    """Call what reads a family's potentials; whatever it does wrong is said in one line."""
    with of_family(target, family, f"cannot read {str(source)!r}"):
        potential = read(source)
    if not isinstance(potential, Potential):
        what = f"{type(potential).__name__} for {str(source)!r}, not a Potential"
        raise StudyError(f"{target} of the family {family!r} gave {what}")
    return potential


def _potential_class(folder: Path) -> tuple[Any, str]:
    """Return the class that loads a saved potential, and its family's name."""
    name = read_header(folder)["adapter"]
    others = _offered("potentials")
    if name in others:
        return import_named(*others[name]), others[name][1]
    fitter = adapter_class(name)
    if not issubclass(fitter, Fitter):
        raise DataError(f"{folder}: adapter {name!r} does not fit potentials")
    return fitter.potential_type, name


@contextlib.contextmanager
def of_family(target: str, family: str, what: str, passes: type[Exception] = UserError) -> Iterator[None]:
    """Turn what code of a family raises into one clear error; ``passes`` is not the family's fault."""
    try:
        yield
    except (UserError, MissingPackage, DiskFull, MemoryError, passes):
        raise
    except (Exception, SystemExit) as error:
        raise StudyError(f"{target} of the family {family!r} {what}: {_reason(error)}") from error


def file_formats() -> Mapping[str, FileFormat]:
    """Return the formats in which families want labelled frames, by name."""
    return {name: one for name, (one, _) in _offered("formats").items()}


def frame_writer(name: str) -> Callable[..., None]:
    """Import the function that writes frames in a format of `file_formats`."""
    one, family = _offered("formats")[name]
    writer = import_named(one.writer, family)

    def write(path: Path, frames: Sequence[Atoms], known: Mapping[str, float] | None) -> None:
        with of_family(one.writer, family, "cannot write these frames", OSError):
            writer(path, frames, known)

    return write


def _offered(kind: str) -> dict[str, tuple[Any, str]]:
    """Return what all families offer of one kind: name to it and its family's name."""
    return {
        name: (one, family.name)
        for family in families().values()
        for name, one in getattr(family, kind).items()
    }


def import_named(target: str, family: str) -> Any:
    """Import ``module:name`` of a family; what is wrong with it is said in one line."""
    module, _, name = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except MissingPackage:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ImportError):
            require_packages(family)
        raise StudyError(f"{target} of the family {family!r} cannot be imported: {_reason(error)}") from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except Exception as error:
            raise StudyError(f"{module} does not define {name}: {_reason(error)}") from error
    return found
