"""What a card says of a data set: the tables of ``card.toml`` as dataclasses."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crossprune.harness.data.crystals import FACES, Slab
from crossprune.harness.data.sources import RemoteFile, is_local
from crossprune.harness.errors import unknown_name


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


@dataclass(frozen=True)
class Protocol:
    """What property and molecular-dynamics protocols start from."""

    prototype: Literal["bcc", "fcc", "diamond"]
    """Crystal structure of the ground state."""
    lattice_parameter_angstrom: float
    """Lattice parameter (Å) near the minimum at the data set's level of theory."""
    melting_temperature_k: float
    """Experimental melting temperature (K), for temperatures relative to it."""
    source: str
    """Where the melting temperature comes from."""
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
    protocol: Protocol
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

    def __post_init__(self) -> None:
        """Refuse groups of references that the table ``[groups]`` does not have."""
        for structure, one in self.reference.items():
            for group in (*(one.groups or ()), *itertools.chain(*one.groups_of.values())):
                if group not in self.groups:
                    raise ValueError(f"reference.{structure}: {unknown_name('group', group, self.groups)}")

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
