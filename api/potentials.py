"""Potentials: loaded from a row, a folder or a published file, and fitted to frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from crossprune.rows import STORE

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from crossprune.harness.contract import Potential

    Source: TypeAlias = "str | Path | Potential | Model | pd.Series[Any] | Mapping[str, Any]"


@dataclass(frozen=True)
class Model:
    """A fitted potential."""

    potential: Potential
    """As the harness knows it: ``predict(atoms)`` gives energy, forces and stress without a calculator."""

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements that it knows."""
        return self.potential.elements

    @property
    def info(self) -> Mapping[str, float | str]:
        """Facts about the fit, such as ``n_parameters``, the coefficients or weights that it chose."""
        return self.potential.info

    def calculator(self) -> Calculator:
        """Return an ASE calculator."""
        return self.potential.calculator()

    def save(self, folder: str | Path) -> None:
        """Save it into a folder that `load_potential` reads."""
        self.potential.save(Path(folder))

    def export(self, folder: str | Path) -> list[Path]:
        """Write the family's own files; `export_potential` says how they are run."""
        return self.potential.export(Path(folder))


def load_potential(source: Source, *, store: str | Path | None = None) -> Calculator:
    """Load a potential as an ASE calculator.

    Parameters
    ----------
    source
        A row of `results` (a pandas Series, or a mapping with its ``fit_key``), the folder of a saved
        potential, a published potential as ``SCHEME:...`` (``lammps:snap:Mo_Zuo_JPCA2020``, ``ace:FILE``,
        ``chimes:FILE``, ``mtp:FILE``, ``nnp:FOLDER``,
        ``pod:FILE``, ``uf3:FILE``), or what `fit` returned.
    store
        Folder of the run that a row is of; rows of `results` say it themselves.

    Returns
    -------
    ase.calculators.calculator.Calculator
        Energies (eV), forces (eV/Å) and, where the cell is periodic, stress (eV/Å³).

    Raises
    ------
    StudyError, DataError
        If the row has no stored potential, or there is none at ``source``.
    MissingPackage
        If a package that computes it is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> frames = crossprune.load_frames("si-pbe", split="test")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     crossprune.fit("mean", frames).save(folder)
    ...     atoms = frames[0].copy()
    ...     atoms.calc = crossprune.load_potential(folder)
    ...     round(atoms.get_potential_energy() / len(atoms), 2)
    -4.81
    """
    return potential_of(source, store).calculator()


def potential_of(source: Source, store: str | Path | None = None) -> Potential:
    """Return the potential behind what `load_potential` takes."""
    from crossprune.harness import lookup
    from crossprune.harness.contract import Potential

    if isinstance(source, Model):
        return source.potential
    return source if isinstance(source, Potential) else lookup.load_potential(place_of(source, store))


def place_of(source: str | Path | pd.Series[Any] | Mapping[str, Any], store: str | Path | None = None) -> str:
    """Return where the potential of a row lies in its store; anything else as it is.

    Raises
    ------
    StudyError
        If nobody knows the row's store, or the store does not hold the potential.
    """
    from crossprune.harness.errors import StudyError
    from crossprune.harness.store.damage import place_of as place_in

    if isinstance(source, (str, Path)):
        if (Path(source) / "results.parquet").is_file():
            raise StudyError(
                f"{source} is the folder of a run, which has many potentials: give a row of "
                f"results({str(source)!r}), or write one by crossprune export-potential, "
                "which says what tells rows apart"
            )
        return str(source)
    if not hasattr(source, "items"):
        raise StudyError(
            f"{source!r:.60} is no potential: give a row of results, a folder, or a published one"
        )
    row: dict[str, Any] = {str(name): value for name, value in source.items()}
    root, key = store or row.get(STORE), row.get("fit_key")
    if not root or not isinstance(root, (str, Path)):
        raise StudyError(
            "this row does not say its store; give store=FOLDER, or take rows of results(FOLDER)"
        )
    if not key or not isinstance(key, str):  # NaN where tables were joined
        status, reason = row.get("status", "unknown"), str(row.get("reason") or "").strip() or "no fit_key"
        raise StudyError(f"this row has no potential: status {status}: {reason.splitlines()[-1]}")
    folder = place_in(Path(root), "fit", key) / "potential"
    if not folder.is_dir():
        raise StudyError(f"{root} does not hold the potential of this row any more: run its study again")
    return str(folder)


def fit(
    adapter: str,
    frames: Sequence[Atoms],
    *,
    options: Mapping[str, Any] | None = None,
    weights: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    isolated_atom_energies: Mapping[str, float] | None = None,
) -> Model:
    """Fit a model family to labelled frames.

    Parameters
    ----------
    adapter
        Name of the family: ``ace``, ``chimes``, ``gap``, ``mean``, ``mtp``, ``nnp``, ``pod``,
        ``snap``, ``uf3``, or an
        installed one.
    frames
        Structures with energy and forces (and stress, where it is known) from any calculator; the group of
        a frame is ``info["group"]``.
    options
        The family's, as in a study's table ``[options.NAME]``. What is left out has its fixed default:
        cutoffs follow the data in a study only.
    weights
        Of a group, factors on ``energy``, ``forces`` and ``stress``, as in a study's ``[weights.GROUP]``.
    seed
        Of what is random in the fit.
    isolated_atom_energies
        Energy of each isolated atom (eV); by default, offsets per element are fitted.

    Returns
    -------
    Model
        With ``calculator()`` for ASE, ``save(folder)`` and ``export(folder)``; facts of the fit are in
        ``info``.

    Raises
    ------
    StudyError, DataError
        If the family, an option or a group is unknown, the family fits nothing, or a frame cannot be used.
    TooFewFrames
        If the model cannot be fitted to so few.
    MissingPackage
        If a package of the family is not installed.

    Examples
    --------
    >>> import crossprune
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> frames = [bulk("Cu", a=a) for a in (3.5, 3.6, 3.7)]
    >>> for atoms in frames:
    ...     atoms.calc = EMT()
    >>> model = crossprune.fit("mean", frames)
    >>> frames[1].calc = model.calculator()
    >>> model.elements, round(frames[1].get_potential_energy(), 3)
    (('Cu',), 0.015)
    """
    import numpy as np
    from crossprune.frames import with_labels
    from crossprune.harness.contract import Fitter, GroupWeight, check_weight, have_weight
    from crossprune.harness.data.frames import elements_of, group_of
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.lookup import resolve
    from crossprune.harness.tables import convert

    spec = resolve(adapter, {adapter: dict(options or {})})
    labelled = with_labels(frames)
    known = {group_of(atoms) for atoms in labelled}
    for group in weights or {}:
        if group not in known:
            raise StudyError(f"weights: {unknown_name('group', group, known)}")
    wanted = convert(Mapping[str, GroupWeight], weights or {}, "weights")
    for group, one in wanted.items():
        for name, value in vars(one).items():
            try:
                check_weight(f"weights: {group}: {name}", value)
            except ValueError as error:
                raise StudyError(str(error)) from None
    if not have_weight(known, wanted):
        raise StudyError("weights: energy and forces are 0 in every group, so there is nothing to fit")
    elements = elements_of(labelled)
    if isolated_atom_energies is not None:
        energies = {one: isolated_atom_energies.get(one) for one in elements}
        for one, energy in energies.items():
            if not isinstance(energy, (int, float, np.integer, np.floating)) or not np.isfinite(energy):
                raise StudyError(
                    f"isolated_atom_energies: {one} is {energy!r}; give the energy of an atom of each "
                    f"element, eV: {', '.join(elements)}"
                )
    fitter = spec.make(elements, isolated_atom_energies)
    if not isinstance(fitter, Fitter):
        raise StudyError(
            f"adapter {adapter!r} is a descriptor without a model: it chooses data and fits none"
        )
    prepared = fitter.prepare(labelled)
    chosen = np.arange(len(labelled), dtype=np.int64)
    return Model(fitter.fit(prepared, chosen, weights=wanted, rng=np.random.default_rng(seed)))
