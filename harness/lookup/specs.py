"""Adapters with their options, as a study names them: what a key holds of them, and how they are made."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from crossprune.harness.contract import Adapter
from crossprune.harness.contract.transfer import Transfer
from crossprune.harness.errors import StudyError
from crossprune.harness.fingerprint import canonical_hash, defining_module, package_versions, source_hash
from crossprune.harness.lookup.families import adapter_class, families, family_of, require_packages
from crossprune.harness.tables import from_table


@dataclass(frozen=True)
class AdapterSpec:
    """An adapter with its options, under the name that a study gives it."""

    label: str
    adapter: str
    options: Any
    given: frozenset[str] = field(default=frozenset(), compare=False)
    """Options that the study names; all others may follow from the data."""
    followed: str = field(default="", compare=False)
    """Options that do, for the results table."""
    tuned_on: str = field(default="", compare=False)
    """The data set whose training labels chose the options, as the study says; empty if none did."""
    tuning: str = field(default="", compare=False)
    """What became of the wish that a fit re-estimates its regularisation, for the results table."""

    transfer: Transfer | None = None
    """What the fit carries over from labels of another level; None for an ordinary fit."""

    def following(self, spacing: float | None) -> AdapterSpec:
        """Return the spec for a data set of this typical spacing (Å): see `Adapter.geometry`."""
        if spacing is None:
            return self
        wanted = adapter_class(self.adapter).geometry(spacing)
        table = {name: value for name, value in wanted.items() if name not in self.given}
        if not table:
            return self
        followed = ", ".join(f"{name} {value:g}" for name, value in table.items())
        try:
            options = dataclasses.replace(self.options, **table)
        except ValueError as error:
            raise StudyError(f"[options.{self.label}], where {followed} follow the data: {error}") from None
        return dataclasses.replace(self, options=options, followed=followed)

    def tuned_inside(self) -> AdapterSpec:
        """Return the spec whose fits re-estimate their regularisation, or itself with the reason why not."""
        try:
            options = adapter_class(self.adapter).tuned_inside(self.options)
        except StudyError as error:
            return dataclasses.replace(self, tuning=f"not tuned inside: {error}")
        said = "regularisation re-estimated on the chosen subset"
        return dataclasses.replace(self, options=options, tuning=said)

    def make(
        self, elements: Sequence[str], isolated_atom_energies: Mapping[str, float] | None = None
    ) -> Adapter[Any]:
        """Construct the adapter; a missing optional package is reported here."""
        if (cls := adapter_class(self.adapter)).versions(self.options) is None:
            require_packages(self.adapter)
        return cls(elements, self.options, isolated_atom_energies)

    @property
    def lineage(self) -> str:
        """What makes it kin of others: see `Adapter.lineage`."""
        return adapter_class(self.adapter).lineage(self.options)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages that the adapter's results rest on."""
        cls = adapter_class(self.adapter)
        return cls.versions(self.options) or package_versions(cls.distributions)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of options, transfer, the adapter's code and the versions it rests on; not of the label."""
        if self.transfer is None:
            return canonical_hash(self.ingredients())
        return canonical_hash(self.ingredients(), self.transfer)

    @functools.cached_property
    def prepare_fingerprint(self) -> str:
        """The same without the options that only `fit` reads: a new ridge needs no new features or rows."""
        return canonical_hash(self._without(adapter_class(self.adapter).fit_options))

    @functools.cached_property
    def features_fingerprint(self) -> str:
        """The same without what only `prepare` reads: adapters that agree in it describe alike."""
        cls = adapter_class(self.adapter)
        return canonical_hash(self._without(cls.fit_options | cls.prepare_options))

    def _without(self, names: frozenset[str]) -> dict[str, Any]:
        found = self.ingredients()
        found["options"] = {name: one for name, one in found["options"].items() if name not in names}
        return found

    def ingredients(self) -> dict[str, Any]:
        """Name everything that the adapter's results rest on: options, code and versions."""
        cls = adapter_class(self.adapter)
        return {
            "adapter": self.adapter,
            "options": cls.rests_on(self.options),
            "code": _code_of(self.adapter, cls),
            "versions": self.versions(),
        }


def _code_of(name: str, cls: type[Adapter[Any]]) -> list[str]:
    """Hash the module that defines an adapter, that which its family names, and those of its base classes."""
    module, _, attribute = family_of(name).adapter.partition(":")
    defining = defining_module(module, attribute.partition(".")[0])
    modules = dict.fromkeys([cls.__module__, defining])
    own = {one.__module__.partition(".")[0] for one in cls.__mro__} & _tops_of(module)
    return [source_hash(one, frozenset(own)) for one in modules]


@functools.cache
def _tops_of(module: str) -> frozenset[str]:
    """Return the top-level packages that came with a module's, and those of all packages with families."""
    tops = {family.adapter.partition(".")[0].partition(":")[0] for family in families().values()}
    here = module.partition(".")[0]
    if here == __name__.partition(".")[0]:
        return frozenset(tops)
    provided = metadata.packages_distributions()
    together = {top for top, names in provided.items() if set(names) & set(provided.get(here, ()))}
    return frozenset(tops | together)


def resolve(label: str, options: Mapping[str, Mapping[str, Any]]) -> AdapterSpec:
    """Find the adapter that a study calls ``label`` and check its options.

    Parameters
    ----------
    label
        Name of an adapter, or of a table in ``options`` with a key ``adapter``.
    options
        The study's ``[options.*]`` tables; ``tuned_on`` in one says whose training labels chose it,
        ``transfer`` and ``references`` what its fits carry over: see `Transfer`.

    Raises
    ------
    StudyError
        If the adapter or an option is unknown.
    """
    table = dict(options.get(label, {}))
    name, tuned_on = str(table.pop("adapter", label)), str(table.pop("tuned_on", ""))
    way, references = str(table.pop("transfer", "none")), str(table.pop("references", "target"))
    try:
        transfer = Transfer(way, references)
    except ValueError as error:
        raise StudyError(f"[options.{label}]: {error}") from None
    options = from_table(adapter_class(name).options_type, table, f"[options.{label}]")
    carried = None if transfer.is_plain else transfer
    return AdapterSpec(label, name, options, frozenset(table), tuned_on=tuned_on, transfer=carried)
