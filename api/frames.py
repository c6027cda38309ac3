"""Frames of data sets and of chosen sets: as ASE objects, or as a file."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossprune.rows import OPTIONS, choices, fitting

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms
    from crossprune.harness.data.frames import DataSet

EXTXYZ = (".xyz", ".extxyz")
"""Endings that mean extended XYZ; families add formats of their own."""


def load_frames(
    source: str | Path,
    *,
    split: str | None = None,
    loading: Mapping[str, Any] | None = None,
    data: str | None = None,
    chooser: str | None = None,
    method: str | None = None,
    fraction: float | None = None,
    seed: int | None = None,
    pool: int | None = None,
) -> list[Atoms]:
    """Load the labelled frames of a data set, or those that a study chose.

    Parameters
    ----------
    source
        Name of a data set, path of a file, or folder of a finished run.
    split
        Of a data set: ``train``, ``test`` or ``ood``; default: all, with their part in ``info["split"]``.
    loading
        Of a file: keys and splits, as in a study's ``[data.NAME]`` table.
    data, chooser, method, fraction, seed, pool
        Of a run: which chosen set; only what is needed to tell them apart.

    Returns
    -------
    list of ase.Atoms
        Energies (eV), forces (eV/Å) and stress (eV/Å³) are in a ``SinglePointCalculator``.

    Raises
    ------
    StudyError, DataError
        If there is no such source, part or chosen set, or several sets fit, or data are broken.

    Examples
    --------
    >>> import crossprune
    >>> frames = crossprune.load_frames("si-pbe", split="test")
    >>> len(frames), frames[0].get_chemical_formula(), frames[0].info["group"]
    (62, 'Si8', 'md-600K')
    """
    wanted = {"dataset": data, "pool": pool, "chooser": chooser, "method": method, "fraction": fraction}
    return list(gather(source, split, loading or {}, {**wanted, "seed": seed}).frames)


def export_frames(
    source: str | Path,
    output: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    split: str | None = None,
    loading: Mapping[str, Any] | None = None,
    data: str | None = None,
    chooser: str | None = None,
    method: str | None = None,
    fraction: float | None = None,
    seed: int | None = None,
    pool: int | None = None,
) -> int:
    """Write the frames that `load_frames` loads into one file; return their number.

    Parameters
    ----------
    source, split, loading, data, chooser, method, fraction, seed, pool
        As in `load_frames`.
    output
        The file.
    format
        ``extxyz``, or a family's own, such as ``pacemaker``; default: by the file's ending.

    Raises
    ------
    StudyError, DataError
        As `load_frames`; and if the format is not clear, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import crossprune
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     crossprune.export_frames("si-pbe", Path(folder) / "test.extxyz", split="test")
    62
    """
    target, style = Path(output), format_of(Path(source), Path(output), format)
    wanted = {"dataset": data, "pool": pool, "chooser": chooser, "method": method, "fraction": fraction}
    found = gather(source, split, loading or {}, {**wanted, "seed": seed})
    write_frames(target, style, found)
    return len(found.frames)


@dataclass(frozen=True)
class Gathered:
    """Frames, and the data set that they are of."""

    dataset: DataSet
    frames: Sequence[Atoms]
    is_chosen: bool
    """Whether a study chose them."""


def gather(
    source: str | Path, split: str | None, loading: Mapping[str, Any], cell: Mapping[str, Any]
) -> Gathered:
    """Load frames, see `load_frames`; what is None in ``cell`` is not asked for."""
    from crossprune.harness.data.names import is_file
    from crossprune.harness.errors import StudyError

    wanted = {name: value for name, value in cell.items() if value is not None}
    if is_file(Path(source) / "results.parquet"):
        if loading:
            raise StudyError(f"{', '.join(loading)}: for a file; a run's frames have their labels")
        if split is not None:
            raise StudyError("--split is for a data set; a run's chosen set is a part of its training set")
        return Gathered(*_chosen_by(Path(source), wanted), True)
    if wanted:
        options = ", ".join(OPTIONS[name] for name in wanted)
        raise StudyError(f"{options}: for the folder of a finished run, and {str(source)!r} is none")
    return Gathered(*_part_of(str(source), split, loading), False)


def _part_of(source: str, split: str | None, loading: Mapping[str, Any]) -> tuple[DataSet, list[Atoms]]:
    """Load a data set and one part's frames, or all, with their part in ``info``."""
    from crossprune.harness.data.cards import DataOptions, load_dataset
    from crossprune.harness.data.frames import SPLITS
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.tables import from_table

    if split is not None and split not in SPLITS:
        raise StudyError(unknown_name("split", split, SPLITS))
    dataset = load_dataset(source, options=from_table(DataOptions, loading, "options"))
    if split is not None and split not in dataset.split:
        raise StudyError(f"{source} has no {split!r} part")
    for atoms, part in zip(dataset.frames, dataset.split, strict=True):
        atoms.info["split"] = part
    pairs = zip(dataset.frames, dataset.split, strict=True)
    return dataset, [atoms for atoms, part in pairs if split in (None, part)]


def _chosen_by(root: Path, wanted: Mapping[str, Any]) -> tuple[DataSet, list[Atoms]]:
    """Load the one chosen set of a run that fits the description."""
    from crossprune.harness.analysis.answer import read_results
    from crossprune.harness.analysis.cells import labelled
    from crossprune.harness.analysis.spaces.chosen import chosen_subsets
    from crossprune.harness.engine.stored import stored_dataset
    from crossprune.harness.errors import StudyError
    from crossprune.harness.store.objects import Store

    axes = {name: option for name, option in OPTIONS.items() if name != "model"}
    results = read_results(root)
    table: pd.DataFrame = labelled(results)
    table = table if "pool" in table else table.assign(pool=0)
    table = table[table["status"] == "done"].drop_duplicates(list(axes))
    found = fitting(root, table, wanted)
    if len(found) != 1:
        shown = choices(table if found.empty else found, axes)
        raise StudyError(f"{len(found)} chosen sets of {root} fit; {shown}")
    row, store = found.iloc[0], Store(root)
    if "atoms mask" in row["method"]:
        raise StudyError(f"{root}: {row['method']} chose single atoms, and files hold whole configurations")
    dataset = stored_dataset(store.root, str(row["dataset_key"]))
    if row["fraction"] == 1.0:
        return dataset, [dataset.frames[index] for index in dataset.indices("train")]
    sets = chosen_subsets(root, results.loc[[found.index[0]]])
    if sets.empty:
        raise StudyError(f"{root}: this chosen set is no longer stored; run the study again into this folder")
    return dataset, [dataset.frames[index] for index in sets["subset"].iloc[0]]


def format_of(source: Path, output: Path, style: str | None) -> str:
    """Return the name of the format to write.

    Raises
    ------
    StudyError
        If it is unknown or not clear, or the output is the source.
    """
    from crossprune.harness.data.names import is_file
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.lookup import file_formats

    endings = {"extxyz": EXTXYZ, **{name: one.endings for name, one in file_formats().items()}}
    if is_file(source) and output.exists() and output.samefile(source):
        raise StudyError(
            f"{output} is the file that is read, and not all of it is written; give another name"
        )
    known = [name for name, ends in endings.items() if output.name.endswith(ends)]
    if style is None and not known:
        allowed = ", ".join(one for ends in endings.values() for one in ends)
        raise StudyError(f"{output}: the format is not clear; give --format, or an ending of {allowed}")
    if style is not None and style not in endings:
        raise StudyError(unknown_name("format", style, endings))
    return style or known[0]


def write_frames(path: Path, style: str, found: Gathered) -> None:
    """Write frames in a format of `format_of`.

    Raises
    ------
    StudyError
        If the file cannot be written.
    """
    from ase.io import write
    from crossprune.harness.engine.archive import make_folder_of
    from crossprune.harness.errors import StudyError
    from crossprune.harness.lookup import frame_writer
    from crossprune.harness.store.objects import write_file

    make_folder_of(path)
    try:
        if style == "extxyz":
            named = [_with_readable_group(atoms) for atoms in found.frames]
            write_file(path, lambda temporary: write(temporary, named, format="extxyz"))
        else:
            writer, known = frame_writer(style), found.dataset.isolated_atom_energies
            write_file(path, lambda temporary: writer(temporary, found.frames, known))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        raise StudyError(f"cannot write {path}: {error.strerror}; give another place") from None


def _with_readable_group(atoms: Atoms) -> Atoms:
    """Return a copy whose group extended XYZ gives back as it is."""
    from crossprune.harness.data.files.extxyz import as_written
    from crossprune.harness.data.frames import GROUP, group_of

    frame: Atoms = atoms.copy()
    frame.calc = atoms.calc
    frame.info[GROUP] = as_written(group_of(atoms))
    return frame


def with_labels(frames: Sequence[Atoms]) -> list[Atoms]:
    """Return copies of frames that carry their labels and groups, and nothing else.

    Parameters
    ----------
    frames
        Structures with any ASE calculator: labels that are not known yet are computed.

    Raises
    ------
    DataError
        If a frame has no calculator, an energy or forces are not known, or it is broken.
    """
    from ase.calculators.calculator import PropertyNotImplementedError
    from crossprune.harness.data.frames import group_of, label
    from crossprune.harness.data.validation import check_frame
    from crossprune.harness.errors import DataError

    found = []
    for index, atoms in enumerate(frames):
        if atoms.calc is None:
            raise DataError(
                f"frame {index} has no labels; attach them with "
                "ase.calculators.singlepoint.SinglePointCalculator, or any calculator"
            )
        try:
            energy, forces = atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False)
        except PropertyNotImplementedError as error:
            raise DataError(
                f"frame {index}: its calculator knows no {error}; give energy and forces"
            ) from None
        try:
            stress = atoms.get_stress(apply_constraint=False) if atoms.pbc.all() else None
        except (PropertyNotImplementedError, NotImplementedError):
            stress = None
        frame = label(atoms, energy=energy, forces=forces, stress=stress, group=group_of(atoms))
        check_frame(frame, f"frame {index}")
        found.append(frame)
    if not found:
        raise DataError("there are no frames; give one at least")
    return found
