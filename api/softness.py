"""Whether a potential's forces are too small: slopes against reference forces, and what they prove."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from crossprune.evaluating import ALL, Evaluation

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from crossprune.harness.data.files.vectors import Vectors
    from crossprune.harness.evaluation.softening.excess import Energies, Excess
    from crossprune.harness.evaluation.softening.slopes import Forces
    from crossprune.harness.evaluation.softening.summary import Softness
    from crossprune.potentials import Source

    Part: TypeAlias = tuple[str, Forces, Energies | None, Sequence[str]]

FRAMES = "frames"
"""Name of frames that were given as they are."""
STORED = "what predicted these forces is not known, nor what it was fitted to"


@dataclass(frozen=True)
class Softening:
    """What predicted forces say of softness."""

    name: str
    """Of the data."""
    table: pd.DataFrame
    """A row per ``part`` and ``group``, ``all`` over all groups: ``verdict``, slopes, intervals, errors."""
    configurations: pd.DataFrame
    """Of each configuration: ``part``, its place in it, ``group``, ``n_atoms``, ``slope``, ``scale``,
    ``theil_sen``; NaN where reference forces tell no slope."""
    histogram: pd.DataFrame
    """``n_slopes`` and ``n_scales`` of each part and group from ``low`` to below ``high``."""
    energies: pd.DataFrame
    """A row per ``part`` and ``group`` on excess energies: ``verdict``, slopes, intervals, and differences
    of groups; no rows for stored forces, which come without energies."""
    notes: Sequence[str]
    """What loading left out, why these are the parts, what the potential has to do with them, the window."""


def softening(
    source: Source | Calculator | Sequence[Atoms],
    data: str | Path | Sequence[Atoms] | None = None,
    *,
    reference_key: str | None = None,
    predicted_key: str | None = None,
    split: str | None = None,
    loading: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    force_window: tuple[float, float] | None = None,
    groups: Sequence[str] = (),
    resamples: int | None = None,
    seed: int = 0,
) -> Softening:
    """Say whether predicted forces are too small (soft), too large (hard) or neither.

    Softness is claimed where the factor c = Σ F·f / Σ f² (f predicted, F reference), which minimises the
    squared error, is above 1 with its interval, as the median over configurations; a slope of f on F below
    1 is no proof, because noise makes one. The page on softening has the reasons.

    Parameters
    ----------
    source
        A potential, as in `evaluate`; or with the two keys a file, or frames, that hold both forces.
    data, split, loading, store
        Of a potential, as in `evaluate`; of stored forces only ``loading={"group_key": …}``.
    reference_key, predicted_key
        Of stored forces: their names in the file, or in ``arrays`` of frames.
    force_window
        eV/Å: only atoms whose reference force is from the first to below the second.
    groups
        Only these groups; default: all.
    resamples, seed
        Of the intervals: draws of whole configurations, 2000 by default, 100 at least, and what they are
        drawn by.

    Returns
    -------
    Softening
        Its ``table`` has a row per part and group; so has ``energies``, of excess energies, whichever
        forces the window takes. Forces and errors are in eV/Å, errors per component.

    Raises
    ------
    StudyError, DataError
        As `evaluate`; if a key, group or window is wrong; or if forces tell nothing: fewer than six
        configurations whose reference forces are not constant.

    Examples
    --------
    >>> import numpy as np
    >>> import crossprune
    >>> frames, rng = crossprune.load_frames("si-pbe", split="test"), np.random.default_rng(0)
    >>> for atoms in frames:
    ...     atoms.arrays["dft"] = atoms.get_forces()
    ...     atoms.arrays["model"] = 0.85 * atoms.arrays["dft"] + rng.normal(0, 0.05, (len(atoms), 3))
    >>> found = crossprune.softening(frames, reference_key="dft", predicted_key="model")
    >>> found.table.loc[0, ["group", "verdict"]].tolist()
    ['all', 'soft']
    >>> found.table.loc[0, ["pooled_slope", "scale"]].astype(float).round(2).tolist()
    [0.85, 1.18]
    """
    import pandas as pd
    from crossprune.harness.errors import DataError
    from crossprune.harness.evaluation.softening.excess import excess
    from crossprune.harness.evaluation.softening.summary import softness

    n_resamples = checked(force_window, resamples, seed)
    if reference_key is not None or predicted_key is not None:
        _check_stored(source, reference_key, predicted_key, data, split, store, loading or {})
        keys = {"reference_key": str(reference_key), "predicted_key": str(predicted_key)}
        name, parts = _stored(source, keys, dict(loading or {}).get("group_key"), groups)
        notes = [STORED]
    else:
        _check_potential(source)
        asked = Evaluation.of(source, data, split=split, loading=loading, store=store)  # type: ignore[arg-type]
        asked = asked.of_groups(groups) if groups else asked
        name, parts, notes = asked.name, _predicted(asked), [*asked.dataset_notes, *asked.why]
    tables: list[list[pd.DataFrame]] = []
    faults = []
    for part, forces, energies, named in parts:
        try:
            found = softness(forces, named, window=force_window, n_resamples=n_resamples, seed=seed)
        except DataError as fault:
            faults.append((part, str(fault)))
            continue
        of_energies = [] if energies is None else excess(energies, named, n_resamples=n_resamples, seed=seed)
        tables.append([*_tables(part, found, named), _excess_table(part, of_energies)])
        if force_window is not None:
            notes.append(_window(part, force_window, int(found.n_atoms.sum()), len(forces.reference)))
    if not tables:
        raise DataError("; ".join(f"{part}: {fault}" if len(faults) > 1 else fault for part, fault in faults))
    notes += [f"part {part!r} left out: {fault}" for part, fault in faults]
    table, configurations, histogram, of_excess = (
        pd.concat(one, ignore_index=True) for one in zip(*tables, strict=True)
    )
    return Softening(name, table, configurations, histogram, of_excess, notes)


def is_run(source: str | Path) -> bool:
    """Say whether a folder is that of a run."""
    folder = Path(source)
    return (folder / "results.parquet").is_file() or (folder / "objects" / "fit").is_dir()


def checked(window: tuple[float, float] | None, resamples: int | None, seed: int) -> int:
    """Return how many resamples to draw.

    Raises
    ------
    StudyError
        If the window is none, or resamples or seed are out of range.
    """
    from crossprune.harness.errors import StudyError
    from crossprune.harness.evaluation.softening.intervals import (
        FEWEST_RESAMPLES,
        MOST_RESAMPLES,
        N_RESAMPLES,
    )

    _check_window(window)
    n_resamples = N_RESAMPLES if resamples is None else resamples
    if not FEWEST_RESAMPLES <= n_resamples <= MOST_RESAMPLES:
        allowed = f"{FEWEST_RESAMPLES} to {MOST_RESAMPLES}"
        raise StudyError(f"resamples is {n_resamples}; give {allowed}, such as {N_RESAMPLES}")
    if seed < 0:
        raise StudyError(f"seed is {seed}; give 0 or more")
    return n_resamples


def _check_window(window: tuple[float, float] | None) -> None:
    from crossprune.harness.errors import StudyError

    if window is not None and len(window) != 2:
        raise StudyError(f"--force-window is {window}; give two numbers, eV/Å")
    if window is not None and not 0 <= window[0] < window[1]:
        raise StudyError(
            f"--force-window is {window[0]:g} {window[1]:g}; give the smallest and the largest force, eV/Å, "
            "at least 0 and in this order (inf for no end)"
        )


def _check_stored(
    source: object,
    reference_key: str | None,
    predicted_key: str | None,
    data: object,
    split: str | None,
    store: object,
    loading: Mapping[str, Any],
) -> None:
    """Refuse what has no meaning for stored forces."""
    from crossprune.harness.errors import StudyError

    if reference_key is None or predicted_key is None:
        missing = "--reference-key" if reference_key is None else "--predicted-key"
        raise StudyError(f"{missing} is missing: stored forces have two keys, of the reference and predicted")
    if reference_key == predicted_key:
        raise StudyError(f"--reference-key and --predicted-key are both {reference_key!r}; give two keys")
    given = {"--data": data, "--split": split, "store": store}
    wrong = [name for name, value in given.items() if value is not None]
    wrong += [name for name in loading if name != "group_key"]
    if wrong:
        raise StudyError(f"{', '.join(wrong)}: for a potential; the keys say that forces are stored")


def _check_potential(source: object) -> None:
    """Say what is missing if a file of frames was given, or frames."""
    from crossprune.harness.data.files.formats import DATABASE_SUFFIXES, is_xyz, suffix_of
    from crossprune.harness.errors import StudyError

    is_frames, is_file = isinstance(source, (list, tuple)), False
    if isinstance(source, (str, Path)):
        path = Path(source)
        is_file = is_xyz(path) or (suffix_of(path) in DATABASE_SUFFIXES and path.is_file())
    if isinstance(source, (str, Path)) and is_run(source):
        raise StudyError(f"{source} is the folder of a run: softening_of_run looks at all its models")
    if is_frames or is_file:
        what = "frames were given" if is_frames else f"{source} is a file of frames"
        raise StudyError(f"{what}: name their forces by --reference-key and --predicted-key")


def _stored(
    source: object, keys: dict[str, str], group_key: str | None, groups: Sequence[str]
) -> tuple[str, Iterator[Part]]:
    """Read stored forces; return the name of the data, and all of them as one part."""
    from ase import Atoms
    from crossprune.harness.data.files.formats import check_file, frames_of, is_xyz
    from crossprune.harness.data.files.vectors import read_vectors
    from crossprune.harness.errors import StudyError

    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir() or (":" in str(source) and not path.exists() and not is_xyz(path)):
            raise StudyError(f"{source} holds no stored forces: leave out the keys, or give a file of frames")
        check_file(path)
        return str(source), _one(read_vectors(frames_of(path), keys, group_key), groups)
    if not isinstance(source, Sequence) or not all(isinstance(one, Atoms) for one in source):
        raise StudyError(
            f"{source!r:.60} holds no stored forces: give a file or a list of frames, or leave out the keys"
        )
    numbered = ((atoms, f"frame {index}") for index, atoms in enumerate(source))
    return FRAMES, _one(read_vectors(numbered, keys, group_key), groups)


def _one(read: Vectors, groups: Sequence[str]) -> Iterator[Part]:
    """Yield stored forces of some groups, or all, as one part."""
    import numpy as np
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.evaluation.softening.slopes import Forces

    for one in groups:
        if one not in read.groups:
            raise StudyError(unknown_name("group", one, set(read.groups)))
    forces, named = Forces(read.first, read.second, read.sizes), read.groups
    if groups:
        forces = forces.of(np.isin(named, list(groups)))
        named = [one for one in named if one in groups]
    yield ALL, forces, None, named


def _predicted(asked: Evaluation) -> Iterator[Part]:
    """Yield the forces and energies of each wanted part of an evaluation."""
    from crossprune.harness.data.frames import element_counts, elements_of
    from crossprune.harness.evaluation.softening.excess import Energies
    from crossprune.harness.evaluation.softening.slopes import Forces

    for part in asked.wanted:
        predicted, labels, sizes, named = asked.predictions(part)
        frames = [atoms for atoms, one in zip(asked.frames, asked.parts, strict=True) if one == part]
        counts = element_counts(frames, elements_of(frames))
        energies = Energies(labels.energies, predicted.energies, counts)
        yield part, Forces(labels.forces, predicted.forces, sizes), energies, named


def _window(part: str, window: tuple[float, float], n_inside: int, n_atoms: int) -> str:
    """Say what a window keeps of a part."""
    end = "up" if math.isinf(window[1]) else f"to below {window[1]:g}"
    return (
        f"part {part!r}: only atoms whose reference force is from {window[0]:g} eV/Å {end}: "
        f"{n_inside} of {n_atoms}"
    )


def _excess_table(part: str, found: Sequence[Excess]) -> pd.DataFrame:
    """Lay excess energies out; the columns are there without rows as well."""
    from dataclasses import asdict, fields

    import pandas as pd
    from crossprune.harness.evaluation.softening.excess import Excess

    rows = [{"part": part, **asdict(one)} for one in found]
    return pd.DataFrame(rows, columns=["part", *(one.name for one in fields(Excess))])


def _tables(part: str, found: Softness, groups: Sequence[str]) -> list[pd.DataFrame]:
    """Lay a part out as the tables of `Softening`."""
    from dataclasses import asdict

    import numpy as np
    import pandas as pd
    from crossprune.harness.evaluation.softening.histogram import EDGES, counts

    table = pd.DataFrame([{"part": part, **asdict(one)} for one in found.summaries])
    named = np.asarray(groups)
    each = {"slope": found.slopes, "scale": found.scales, "theil_sen": found.theil_sen}
    configurations = pd.DataFrame(
        {
            "part": part,
            "configuration": np.arange(len(named)),
            "group": named,
            "n_atoms": found.n_atoms,
            **each,
        }
    )
    pieces = []
    for name in table["group"]:
        mine = np.full(len(named), True) if name == ALL else named == name
        columns = {"low": EDGES[:-1], "high": EDGES[1:], "n_slopes": counts(found.slopes[mine])}
        columns["n_scales"] = counts(found.scales[mine])
        pieces.append(pd.DataFrame({"part": part, "group": name, **columns}))
    return [table, configurations, pd.concat(pieces, ignore_index=True)]
