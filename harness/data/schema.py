"""What a card, or a study, says of a data set: tables of TOML as dataclasses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ase.data import atomic_numbers
from crossprune.harness.data.copies import Choice
from crossprune.harness.data.crystals import FACES, Slab
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.sources import RemoteFile, is_local
from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.names import fault_of_name, fault_of_path


@dataclass(frozen=True)
class DataFile:
    """One file of a data set."""

    path: str
    """Path in the repository, or in the card's own folder for embedded data."""
    git_blob: str
    """Git blob id: SHA-1 over ``blob <size>`` + NUL + content."""
    part: Literal["train", "test"] | None = None
    """Part of the published split; None where a split list says."""
    commit: str = ""
    """Commit in which the repository has the file, if it is not the card's."""


@dataclass(frozen=True)
class Format:
    """How the files are read."""

    reader: Literal["extxyz", "mlearn"]
    """Extended XYZ, or the JSON schema of mlearn."""
    stress: bool = True
    """Whether stress labels are used unless asked otherwise."""
    stress_reason: str = ""
    """Why stress is left out, or what is odd about it."""
    stress_key: str = "virial_stress"
    """Key of the stress in ``outputs`` (mlearn schema)."""
    stress_order: tuple[str, ...] = ("xx", "yy", "zz", "xy", "yz", "xz")
    """Components in the order of the file (mlearn schema; kbar, positive = compression)."""
    stress_order_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Groups whose components stand in another order (mlearn schema)."""
    group_from: Literal["entry", "file"] = "entry"
    """Take the group from each entry, or from the file's name (mlearn schema)."""
    order_key: str | None = None
    """Key in ``info`` with the place in a trajectory (extended XYZ)."""


@dataclass(frozen=True)
class Repository:
    """The public repository that has the files; None for embedded data."""

    url: str
    """Address of the raw files, without commit and path."""
    commit: str
    """Commit in which the files were found."""
    set_name: str
    """First folder of a mirror in ``CROSSPRUNE_DATA``."""
    strip: str = ""
    """Beginning of the paths that a mirror may leave out."""


@dataclass(frozen=True)
class Reference:
    """Reference properties of one structure at the data set's level of theory."""

    source: str
    """Where the values come from, and with which settings."""
    values: Mapping[str, float]
    """Property, unit in its name, to value."""
    groups: tuple[str, ...] | None = None
    """Groups that hold this structure, itself, strained or rattled: () if none has, None if unknown."""
    groups_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that other groups stand behind."""

    def __post_init__(self) -> None:
        """Refuse groups of a value that is not there."""
        for name in self.groups_of:
            if name not in self.values:
                raise ValueError(f"groups_of: {unknown_name('value', name, self.values)}")

    def groups_behind(self, name: str) -> tuple[str, ...] | None:
        """Return the groups that stand behind a value; None if the card does not say."""
        return self.groups_of.get(name, self.groups)

    def every_group(self) -> tuple[str, ...]:
        """Return all groups that are named."""
        return (*(self.groups or ()), *itertools.chain(*self.groups_of.values()))


@dataclass(frozen=True)
class Protocol:
    """What property and molecular-dynamics protocols start from."""

    prototype: Literal["bcc", "fcc", "diamond"]
    """Crystal structure of the ground state."""
    lattice_parameter_angstrom: float
    """Lattice parameter (Å) near the minimum at the data set's level of theory."""
    melting_temperature_k: float | None = None
    """Experimental melting temperature (K), for temperatures relative to it."""
    source: str = ""
    """Where the melting temperature comes from."""
    elements: tuple[str, ...] | None = None
    """On its sites; several are an equimolar random alloy. None: all of the data set."""
    temperatures_k: tuple[float, ...] | None = None
    """Temperatures (K) of molecular dynamics, instead of those of the study."""
    ramp_k: tuple[float, float] | None = None
    """Where a ramp starts and ends (K), instead of what the study says."""
    vacancy_cell: Literal["conventional", "primitive"] = "conventional"
    """Cell that is repeated for the vacancy; as in the reference calculation, where there is one."""
    vacancy_repeat: int = 0
    """Repeats along each edge; 0 takes 54 (bcc), 108 (fcc) or 64 (diamond) atoms."""
    phonon_repeat: int = 2
    """Cubes along each edge of the supercell for phonons."""
    slabs: tuple[Slab, ...] = FACES
    """Faces, and how their slabs are cut."""
    elastic_strain: float = 0.0
    """Largest component of the strains behind the reference's elastic constants; 0 where there are none."""
    snapshots: str = ""
    """Group of ab-initio MD snapshots of the crystal, whose trajectories name their temperature."""

    def __post_init__(self) -> None:
        """Refuse lengths, temperatures and elements that there are not."""
        kelvin = [*(self.temperatures_k or ()), *(self.ramp_k or ())]
        if self.melting_temperature_k is not None:
            kelvin.append(self.melting_temperature_k)
        if self.lattice_parameter_angstrom <= 0 or min(kelvin, default=1.0) <= 0:
            raise ValueError("lattice_parameter_angstrom and temperatures must be above 0")
        if self.ramp_k is not None and self.ramp_k[0] >= self.ramp_k[1]:
            raise ValueError(f"ramp_k is {list(self.ramp_k)}; give the lower temperature first")
        for element in self.elements or ():
            if element not in atomic_numbers:
                raise ValueError(f"elements has {element!r}; give chemical symbols")
        if self.elements == ():
            raise ValueError("elements is empty; leave it out for all elements of the data set")


@dataclass(frozen=True)
class Level:
    """A level of theory of which a data set has labels; several may be of the same structures."""

    functional: str
    """Name of the density functional, such as PBE, or of what else gave the labels."""
    level_of_theory: str = ""
    """Functional, code and settings."""
    energy_key: str | None = None
    """Key of its energy in the file; the others likewise. None takes what ASE reads."""
    forces_key: str | None = None
    stress_key: str | None = None
    virial_key: str | None = None
    isolated_atom_energies: Mapping[str, float] | None = None
    """Energy of each isolated atom (eV), if they converged."""

    def __post_init__(self) -> None:
        """Refuse an empty name, and two keys for one label."""
        if not self.functional.strip():
            raise ValueError("functional is empty; give its name, such as PBE")
        if self.stress_key and self.virial_key:
            raise ValueError("give stress_key or virial_key, not both")


@dataclass(frozen=True)
class Card:
    """Everything known about a data set besides its frames."""

    name: str
    """Folder name, such as ``mlearn-Mo``."""
    title: str
    """One line."""
    citation: str
    """Whom to cite."""
    doi: str
    """DOI of the publication; empty if there is none."""
    licence: str
    """Licence of the data."""
    elements: tuple[str, ...]
    """Chemical symbols."""
    level_of_theory: str
    """Functional, code and settings."""
    units: Mapping[str, str]
    """Units and signs in the files, before conversion."""
    groups: Mapping[str, str]
    """Group name to what it holds."""
    splits: Mapping[str, str]
    """Part to the rule that fills it."""
    format: Format
    files: tuple[DataFile, ...]
    protocol: Protocol | None
    """The crystal; None where a file of the user's names none."""
    crystals: Mapping[str, Protocol] = field(default_factory=dict)
    """Further crystals by name; tables and references call a structure ``NAME: fcc``, ``NAME: vacancy``."""
    reference: Mapping[str, Reference] = field(default_factory=dict)
    """Structure to its reference properties."""
    repository: Repository | None = None
    split_file: str | None = None
    """Split list in the card's folder, JSON: part to frame indices."""
    isolated_atom_energies: Mapping[str, float] | None = None
    """Energy of each isolated atom (eV) if the source gives it."""
    notes: tuple[str, ...] = ()
    """What a user must know."""
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kinds of structures in tables of what was chosen, to patterns of groups; the first that fits counts."""
    levels: Mapping[str, Level] = field(default_factory=dict)
    """Label sets of the same structures, by name; the first is read unless another is asked for."""

    def __post_init__(self) -> None:
        """Refuse groups of references that the table ``[groups]`` does not have, and bad names."""
        for structure, one in self.reference.items() if self.groups else ():
            for group in one.every_group():
                if group not in self.groups:
                    raise ValueError(f"reference.{structure}: {unknown_name('group', group, self.groups)}")
        for table in ("crystals", "levels"):
            for name in getattr(self, table):
                if fault := fault_of_name(name):
                    raise ValueError(f"{table}: {fault}")

    @property
    def every_crystal(self) -> dict[str, Protocol]:
        """All crystals by name; the one of ``protocol``, which has none, first."""
        return {**({"": self.protocol} if self.protocol else {}), **self.crystals}

    @property
    def available(self) -> bool:
        """Whether the files are here, without the network."""
        return all(is_local(self.remote(file)) for file in self.files) if self.repository else True

    def remote(self, file: DataFile) -> RemoteFile:
        """Return where a file of the card's repository is found."""
        assert self.repository is not None
        return RemoteFile(
            set_name=self.repository.set_name,
            path=file.path,
            url=f"{self.repository.url}/{file.commit or self.repository.commit}/{file.path}",
            git_blob=file.git_blob,
            strip=self.repository.strip,
        )


OF_FILES = ("name", "test", "ood", "card", "protocol", "crystals", "reference", "levels")
"""Options of `DataOptions` that cards of the sets that come with crossprune say."""


@dataclass(frozen=True)
class DataOptions:
    """How a data set is read, filtered and split; the ``[data.NAME]`` table of a study.

    ``name`` to ``levels`` are for files of the user's; the cards of the other sets say it.
    """

    name: str | None = None
    """Short name in tables; None shows the path as it was written."""
    test: str | None = None
    """Path of a file that is the part test; all of the first one is then train, or ood."""
    ood: str | None = None
    """Path of a file that is held out whole, as ``ood``."""
    card: str | None = None
    """Path of a card (TOML), with the tables of ``datasets/*/card.toml`` that are needed."""
    protocol: Protocol | None = None
    """The crystal that properties and dynamics start from; goes before the card's."""
    crystals: Mapping[str, Protocol] = field(default_factory=dict)
    """Further crystals by name; beside the card's."""
    reference: Mapping[str, Reference] = field(default_factory=dict)
    """Structure to its reference values, named as in the table of properties; beside the card's."""
    levels: Mapping[str, Level] = field(default_factory=dict)
    """Label sets of the same structures in the file, by name: the functional, and the keys of its labels."""
    level: str | None = None
    """Which label set is read, where there are several: a name in ``levels``, or, of a file whose frames say
    their functional (``functional``, ``level_of_theory``, ``xc``, ``run_type``), the frames of that one."""
    split: Literal["given", "random", "stratified", "blocks", "groups"] | None = None
    """``given`` (the default of a card: its own split), ``stratified`` by group (the default of a
    file), ``random``, ``blocks`` (one contiguous stretch of every trajectory), ``groups`` (whole groups)."""
    test_fraction: float = 0.2
    """Share of the frames, those in ``ood`` aside, that are tested."""
    seed: int = 0
    """Seed of the split."""
    ood_groups: tuple[str, ...] | None = None
    """Groups held out whole, as ``ood``; None keeps the card's."""
    group_by: Literal["group", "trajectory"] = "group"
    """``trajectory`` makes each trajectory or strain path a group of its own."""
    block_gap: int = 0
    """With ``blocks``: frames left out on either side of the test stretch."""
    pool_split: Literal["stratified", "blocks"] | None = None
    """How the pools of a study draw other test frames: ``stratified`` by group, or ``blocks`` (another
    stretch of every trajectory). None: as the data set's own split does, a stretch of the trajectories
    whose test frames are one (of 3 or more), and by group elsewhere."""
    folds: int = 0
    """Keep the training part alone, of which pool i tests the i-th of so many folds: cross-validation. Long
    trajectories are cut into stretches, copies stay on one side. 0 keeps the parts as they are."""
    max_force_ev_per_angstrom: float | None = None
    """Drop frames in which an atom's force is larger (eV/Å); the data set's notes say how many."""
    use_stress: bool | None = None
    """Use stress labels; None as the card recommends, for a file yes."""
    duplicates: Choice = "refuse"
    """``refuse`` identical structures, ``drop`` all but one of them and the test and ood frames that have a
    copy by symmetry in train, or ``keep`` everything."""
    isolated_atom_group: str | None = None
    """Group of isolated atoms, whose energies become the offsets and which are kept out of all parts; None
    looks for IsolatedAtom, isolated_atom and the like, an empty text takes none."""
    isolated_atom_energies: Mapping[str, float] | None = None
    """Energy of each isolated atom (eV); goes before those of the file or card."""
    categories: Mapping[str, tuple[str, ...]] | None = None
    """Kinds of structures in tables of what was chosen, to patterns of groups such as ``"* at 300 K"``, of
    which the first that fits counts; None takes the card's, and groups as they are where there are none."""
    smoke: bool = False
    """Keep a tiny subset of all parts and groups, for tests."""
    energy_key: str | None = None
    """Files only: key of the energy; None takes what ASE reads, the free energy first."""
    forces_key: str | None = None
    """Files only: key of the forces."""
    stress_key: str | None = None
    """Files only: key of the stress (eV/Å³, positive = tension)."""
    virial_key: str | None = None
    """Files only: key of the virial (eV, -volume × stress)."""
    group_key: str | None = None
    """Files only: key of the group; None looks for ``group``, then ``config_type``."""
    order_key: str | None = None
    """Files only: key of the place in a trajectory."""
    split_key: str | None = None
    """Files only: key that holds ``train``, ``test`` or ``ood``."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.test_fraction < 1:
            raise StudyError(f"test_fraction must lie between 0 and 1, got {self.test_fraction}")
        if self.folds < 0 or self.folds == 1:
            raise StudyError(f"folds must be 0 (none) or at least 2, got {self.folds}")
        if self.block_gap < 0 or self.seed < 0:
            raise StudyError("block_gap and seed must not be negative")
        if self.max_force_ev_per_angstrom is not None and self.max_force_ev_per_angstrom <= 0:
            raise StudyError("max_force_ev_per_angstrom must be positive")
        for element, energy in (self.isolated_atom_energies or {}).items():
            if element not in atomic_numbers or not math.isfinite(energy):
                raise StudyError(
                    f"isolated_atom_energies: {element} = {energy}; give eV by symbol, such as {{Cu = -0.3}}"
                )
        if self.stress_key and self.virial_key:
            raise StudyError("give stress_key or virial_key, not both")
        if self.name is not None and (fault := fault_of_path(self.name)):
            raise StudyError(f"name: {fault}")
        if self.name is not None and not self.name.strip():
            raise StudyError("name is empty; leave it out to show the path")
        if self.test and self.split not in (None, "given"):
            raise StudyError(f"test names a file, and split = {self.split!r} draws one; leave one out")
        if self.split_key and (self.test or self.ood):
            raise StudyError("split_key says the part of each frame, and so do test and ood; leave one out")

    @property
    def of_files(self) -> list[str]:
        """The options that are given and are for files of the user's."""
        return [name for name in OF_FILES if getattr(self, name)]

    @property
    def keys(self) -> Keys:
        """The names of labels in a file."""
        return Keys(
            energy=self.energy_key,
            forces=self.forces_key,
            stress=self.stress_key,
            virial=self.virial_key,
            group=self.group_key,
            order=self.order_key,
            split=self.split_key,
        )
