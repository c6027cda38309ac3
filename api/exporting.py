"""From a row of a table to files that ASE, LAMMPS or a family's own programs run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossprune.potentials import Model, place_of, potential_of

if TYPE_CHECKING:
    from ase import Atoms
    from crossprune.harness.contract import Potential, Recipe
    from crossprune.potentials import Source

FORMATS = ("lammps", "ase", "native")
"""Files with a LAMMPS input beside them; a folder that `load_potential` reads; the family's own files."""
INPUT, STRUCTURE = "in.crossprune", "structure.data"
"""A LAMMPS input that runs the potential as it is, and the structure in it."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how it is run."""

    files: tuple[Path, ...]
    lammps: tuple[str, ...]
    """Lines of a LAMMPS input, in the folder of the files; empty if LAMMPS has no way to run them."""
    python: str
    """A line of Python that makes an ASE calculator."""
    notes: tuple[str, ...]
    """What is needed to run it, and what is not known."""


def export_potential(
    source: Source,
    folder: str | Path,
    *,
    format: str = "lammps",  # noqa: A002
    store: str | Path | None = None,
) -> Exported:
    """Write a potential as files that other programs run, and say how.

    Parameters
    ----------
    source
        As in `load_potential`: a row of `results`, a folder, a published potential, or what `fit` returned.
    folder
        Where to write; made if it is not there.
    format
        ``lammps``: the family's files, ``in.crossprune`` (an input that runs them) and ``structure.data``;
        ``ase``: a folder that `load_potential` reads; ``native``: the family's files alone.
    store
        Folder of the run that a row is of; rows of `results` say it themselves.

    Returns
    -------
    Exported
        Files, lines of LAMMPS and of Python, and what a LAMMPS needs to have.

    Raises
    ------
    StudyError
        If the format is unknown, the family has no pair style, or the row has no potential.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import crossprune
    >>> potential = crossprune.fit("mean", crossprune.load_frames("si-pbe", split="test"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = crossprune.export_potential(potential, Path(folder) / "mean", format="native")
    ...     [path.name for path in exported.files]
    ['mean.json']
    """
    from crossprune.harness.engine.archive import make_folder_of
    from crossprune.harness.errors import StudyError, unknown_name

    if format not in FORMATS:
        raise StudyError(unknown_name("format", format, FORMATS))
    potential, target = potential_of(source, store), Path(folder)
    recipe = _recipe_of(potential)
    if format == "lammps" and recipe is None:
        raise StudyError(
            f"LAMMPS has no pair style for potentials of {potential.adapter!r}; give --format ase or native"
        )
    make_folder_of(target / INPUT)
    if format == "ase" or recipe is None:
        return _as_saved(potential, target, native=format == "native")
    files, notes = potential.export(target), []
    if format == "lammps":
        is_there = (target / STRUCTURE).exists()
        structure, origin = _structure(recipe, source, store)
        origin = "what was there already" if is_there else origin
        files += _write_input(recipe, None if is_there else structure, target)
        notes.append(f"{STRUCTURE} is {origin}: put your own in its place")
        notes.append(f"atom types: {_types(recipe)}; in {folder}: lmp -in {INPUT}")
    has = "the LAMMPS of the package lammps runs it"
    needs = f"a LAMMPS with {recipe.package} runs it; that of the package lammps has none"
    notes += [has if recipe.is_stock else needs, *filter(None, [recipe.remark])]
    return Exported(tuple(files), _lines(recipe), _filled(recipe.python, target), tuple(notes))


def _as_saved(potential: Potential, target: Path, *, native: bool) -> Exported:
    """Write what `load_potential` reads, or the files of a family that no other program runs."""
    if native:
        note = f"no other program runs potentials of {potential.adapter!r}; --format ase gives a calculator"
        return Exported(tuple(potential.export(target)), (), "", (note,))
    potential.save(target)
    files = tuple(sorted(path for path in target.iterdir() if path.is_file()))
    line = f"calculator = crossprune.load_potential('{target}')"
    return Exported(files, (), line, ())


def _recipe_of(potential: Potential) -> Recipe | None:
    """Ask the family how its files are used; None if it does not say."""
    from crossprune.harness.lookup import families, import_named

    for family in families().values():
        if potential.adapter in (family.name, *family.potentials):
            found: Recipe | None = (
                import_named(family.recipe, family.name)(potential) if family.recipe else None
            )
            return found
    return None


def _lines(recipe: Recipe) -> tuple[str, ...]:
    """Return what a LAMMPS input must hold: before there are atoms, and after."""
    return (f"units {recipe.units}", "atom_style atomic", *recipe.settings, *recipe.commands)


def _filled(line: str, folder: Path) -> str:
    return line.replace("{folder}", str(folder))


def _structure(recipe: Recipe, source: Source, store: str | Path | None) -> tuple[Atoms, str]:
    """Return a structure to begin with: of the test part of the study, or made up."""
    from ase.build import bulk
    from crossprune.harness.contract import Potential
    from crossprune.harness.engine.stored import data_of_fit

    fit = None if isinstance(source, (Model, Potential)) else data_of_fit(place_of(source, store))
    if fit is not None:
        for place, index in enumerate(fit.dataset.indices("test")):
            atoms = fit.dataset.frames[index]
            if atoms.pbc.all():
                return atoms, f"frame {place} of the test part of the data set {fit.dataset.name}"
    atoms = bulk(recipe.elements[0], "fcc", a=4.0, cubic=True).repeat(2)
    atoms.symbols[:] = [recipe.elements[index % len(recipe.elements)] for index in range(len(atoms))]
    return atoms, "a made-up crystal, fcc with a lattice constant of 4 Å"


def _types(recipe: Recipe) -> str:
    return ", ".join(f"{kind} {one}" for kind, one in enumerate(recipe.elements, start=1))


def _write_input(recipe: Recipe, structure: Atoms | None, folder: Path) -> list[Path]:
    """Write an input that computes energy, forces and pressure of a structure, and the structure, if any."""
    from ase.io.lammpsdata import write_lammps_data

    data, script = folder / STRUCTURE, folder / INPUT
    script.write_text("\n".join(_script(recipe)) + "\n")
    if structure is None:
        return [script]
    write_lammps_data(
        data,
        structure,
        specorder=list(recipe.elements),
        force_skew=True,
        reduce_cell=False,
        units=recipe.units,
        atom_style="atomic",
        masses=True,
    )
    return [script, data]


def _script(recipe: Recipe) -> Sequence[str]:
    from ase.data import atomic_masses, atomic_numbers

    masses = [recipe.masses.get(one, float(atomic_masses[atomic_numbers[one]])) for one in recipe.elements]
    return [
        "# written by crossprune; in this folder: lmp -in in.crossprune",
        f"# atom types: {_types(recipe)}",
        *_lines(recipe)[: 2 + len(recipe.settings)],
        "boundary p p p",
        f"read_data {STRUCTURE}",
        *(f"mass {kind} {mass:.12g}" for kind, mass in enumerate(masses, start=1)),
        *recipe.commands,
        "thermo_style custom step pe press pxx pyy pzz pxy pxz pyz",
        "thermo_modify format float %.15g",
        "dump forces all custom 1 forces.dump id type x y z fx fy fz",
        "dump_modify forces sort id format float %.15g",
        "run 0",
    ]
