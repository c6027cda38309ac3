"""Reach adapters and published potentials by name, without importing any before it is asked for."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from crossprune.harness.contract import Adapter, Descriptor, Fitter, Potential, read_header
from crossprune.harness.errors import DataError, StudyError, unknown_name
from crossprune.harness.fingerprint import canonical_hash, package_versions, source_hash
from crossprune.harness.tables import from_table

GROUP = "crossprune.adapters"
"""Entry-point group through which packages from outside add adapters."""


@dataclass(frozen=True)
class AdapterSpec:
    """An adapter with its options, under the name that a study gives it."""

    label: str
    adapter: str
    options: Any

    def make(
        self, elements: Sequence[str], isolated_atom_energies: Mapping[str, float] | None = None
    ) -> Adapter[Any]:
        """Construct the adapter; a missing optional package is reported here."""
        return adapter_class(self.adapter)(elements, self.options, isolated_atom_energies)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the options, the adapter's code and the versions it rests on; not of the label."""
        return canonical_hash(self.ingredients())

    @functools.cached_property
    def prepare_fingerprint(self) -> str:
        """The same without the options that only `fit` reads: a new ridge needs no new features or rows."""
        found = self.ingredients()
        for name in adapter_class(self.adapter).fit_options:
            del found["options"][name]
        return canonical_hash(found)

    def ingredients(self) -> dict[str, Any]:
        """Name everything that the adapter's results rest on: options, code and versions."""
        cls = adapter_class(self.adapter)
        return {
            "adapter": self.adapter,
            "options": dataclasses.asdict(self.options),
            "code": source_hash(cls.__module__),
            "versions": package_versions(cls.distributions),
        }


@functools.cache
def adapter_table() -> Mapping[str, str]:
    """Return all adapters, ``name -> module:class``; the table and the entry points together.

    Read once per process: looking through all installed packages takes tens of milliseconds.

    Raises
    ------
    StudyError
        If a package from outside takes a name that is in use.
    """
    table = dict(_module_table("ADAPTERS"))
    for entry in entry_points(group=GROUP):
        if table.get(entry.name, entry.value) != entry.value:
            raise StudyError(
                f"adapter {entry.name!r} is defined by {table[entry.name]} and by {entry.value}; "
                "rename the one in the package from outside"
            )
        table[entry.name] = entry.value
    return table


@functools.cache  # looking through the entry points of all installed packages takes milliseconds
def adapter_class(name: str) -> type[Adapter[Any]]:
    """Import an adapter's class.

    Raises
    ------
    StudyError
        If the name is unknown (with a suggestion) or its module does not define the class.
    """
    table = adapter_table()
    if name not in table:
        raise StudyError(unknown_name("adapter", name, table))
    cls = _import(table[name])
    if not (isinstance(cls, type) and issubclass(cls, (Descriptor, Fitter))):
        raise StudyError(f"adapter {name!r}: {table[name]} is neither a Descriptor nor a Fitter")
    return cls


def resolve(label: str, options: Mapping[str, Mapping[str, Any]]) -> AdapterSpec:
    """Find the adapter that a study calls ``label`` and check its options.

    Parameters
    ----------
    label
        Name of an adapter, or of a table in ``options`` with a key ``adapter``.
    options
        The study's ``[options.*]`` tables.

    Raises
    ------
    StudyError
        If the adapter or an option is unknown.
    """
    table = dict(options.get(label, {}))
    name = str(table.pop("adapter", label))
    cls = adapter_class(name)
    return AdapterSpec(label, name, from_table(cls.options_type, table, f"[options.{label}]"))


def load_potential(source: str | Path) -> Potential:
    """Load a saved potential from its folder, or a published one by ``scheme:specification``.

    Raises
    ------
    DataError, StudyError
        If the folder holds no potential, or the scheme is unknown.
    """
    if Path(source).is_dir():
        header = read_header(Path(source))
        name = header["adapter"]
        others = _module_table("POTENTIALS")
        if name in others:
            cls = _import(others[name])
        else:
            fitter = adapter_class(name)
            if not issubclass(fitter, Fitter):
                raise DataError(f"{source}: adapter {name!r} does not fit potentials")
            cls = fitter.potential_type
        potential: Potential = cls.load(Path(source))
        return potential
    readers = _module_table("READERS")
    scheme, _, rest = str(source).partition(":")
    if not rest:
        raise StudyError(
            f"{str(source)!r} is neither a folder with a saved potential nor SCHEME:..., "
            f"such as lammps:snap:Mo_Zuo_JPCA2020; known schemes: {', '.join(sorted(readers))}"
        )
    if scheme not in readers:
        raise StudyError(unknown_name("scheme", scheme, readers))
    published: Potential = _import(readers[scheme])(rest)
    return published


@functools.cache
def _module_table(name: str) -> Mapping[str, str]:
    table: Mapping[str, str] = getattr(importlib.import_module("crossprune.adapters"), name)
    return table


def _import(target: str) -> Any:
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise StudyError(f"{module} does not define {name}")
        found = getattr(found, part)
    return found
