"""Errors of a potential on labelled frames, and what it has to do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crossprune.frames import with_labels
from crossprune.potentials import Model, place_of, potential_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from crossprune.harness.contract import FloatArray, IntArray, Potential, Predictions
    from crossprune.harness.data.cards import DataOptions
    from crossprune.harness.data.frames import DataSet
    from crossprune.harness.engine.stored import FitData
    from crossprune.potentials import Source

UNKNOWN = "what this potential was fitted to is not known, so some of these frames may be among it"
GIVEN = "given"
"""Part of frames that were given as they are."""
SEVERAL, OFF, LEAST = 3, 10, 1e-3
"""Frames per element, how many times smaller energy errors are without an energy of each element, and energy
errors (eV/atom), above which a constant per element is named."""
DRAWN = {
    "random": "at random",
    "stratified": "from each group",
    "blocks": "as a stretch of each trajectory",
    "groups": "by whole groups",
}
"""How the rules of `DataOptions.split` draw, in words."""


def evaluate(
    potential: Source | Calculator,
    data: str | Path | Sequence[Atoms] | None = None,
    *,
    split: str | None = None,
    loading: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
) -> pd.DataFrame:
    """Compute the errors of a potential on labelled frames, by part and group.

    Parameters
    ----------
    potential
        As in `load_potential`, or any ASE calculator.
    data
        Name of a data set, path of a file, or labelled frames; by default, of a potential in a store, the
        data of its study.
    split
        Part: ``test``, ``ood`` or ``train``; of a study's data also ``remainder``, ``chosen``, ``new``; or
        ``all`` frames, the only part of frames that are given. Default: ``test``, or all that a study did
        not fit to.
    loading
        Of a file: keys and splits, as in a study's ``[data.NAME]`` table.
    store
        Folder of the run that a row is of; rows of `results` say it themselves.

    Returns
    -------
    pandas.DataFrame
        A row per part and group, ``all`` over all groups: ``part``, ``group``, ``n_eval_configurations``,
        ``n_eval_atoms``, and errors with their units in the columns' names, as in the table of a run.
        ``attrs["notes"]`` says what the potential has to do with the frames.

    Raises
    ------
    StudyError, DataError
        If the potential, the data or the part are not there, or the prediction is not finite.

    Examples
    --------
    >>> import crossprune
    >>> mean = crossprune.fit("mean", crossprune.load_frames("si-pbe", split="train"))
    >>> errors = crossprune.evaluate(mean, "si-pbe")
    >>> errors[["part", "group", "n_eval_configurations"]].values.tolist()[0]
    ['test', 'all', 62]
    >>> round(float(errors.loc[0, "force_mae_ev_per_angstrom"]), 2)
    1.12
    """
    import pandas as pd

    asked = Evaluation.of(potential, data, split=split, loading=loading, store=store)
    found = [asked.errors(part) for part in asked.wanted]
    table = pd.concat([rows for rows, _ in found], ignore_index=True)
    table.attrs["notes"] = [*asked.dataset_notes, *asked.why, *(line for _, notes in found for line in notes)]
    return table


@dataclass(frozen=True)
class Evaluation:
    """A potential, frames with their parts, and what is known of both."""

    model: Potential | Calculator
    frames: Sequence[Atoms]
    groups: Sequence[str]
    parts: Sequence[str]
    """Part of each frame."""
    wanted: Sequence[str]
    """The parts to look at."""
    name: str
    """Of the data."""
    dataset_notes: Sequence[str]
    """What loading the data left out, changed or warns of."""
    why: Sequence[str]
    """Why these are the parts, and what the potential has to do with them."""

    @classmethod
    def of(
        cls,
        potential: Source | Calculator,
        data: str | Path | Sequence[Atoms] | None,
        *,
        split: str | None = None,
        loading: Mapping[str, Any] | None = None,
        store: str | Path | None = None,
    ) -> Evaluation:
        """Load potential and data, and tell which frames the potential has seen; see `evaluate`."""
        from pathlib import Path

        from crossprune.harness.data.cards import DataOptions, load_dataset
        from crossprune.harness.data.frames import SPLITS, group_of
        from crossprune.harness.errors import StudyError, unknown_name
        from crossprune.harness.evaluation.seen import PARTS
        from crossprune.harness.tables import from_table

        allowed = dict.fromkeys((*SPLITS, *PARTS, ALL))
        if split is not None and split not in allowed:
            raise StudyError(unknown_name("split", split, allowed))
        given = dict(loading or {})
        options = from_table(DataOptions, given, "options")
        model, fit, source = _loaded(potential, store)
        if data is not None and not isinstance(data, (str, Path)):
            if split not in (None, ALL) or given:
                raise StudyError("split and loading are for data sets and files, and frames were given")
            frames, part, why = with_labels(data), split or GIVEN, [UNKNOWN, *_lacks(model)]
            groups = [group_of(atoms) for atoms in frames]
            return cls(model, frames, groups, [part] * len(frames), [part], "frames", (), why)
        if data is None and fit is None:
            raise StudyError(f"{source} is not in a store, so nobody knows its data; give --data SET")
        if data is None and given:
            raise StudyError(f"{', '.join(map(_flag, given))}: for the data set of --data, and none is given")
        name = None if data is None else str(data)
        dataset = (
            fit.dataset if name is None and fit is not None else load_dataset(str(data), options=options)
        )
        parts, wanted, why = _parts(
            dataset, name, fit, split, options, [one for one in given if one in DRAWING]
        )
        notes = dataset.notes if name is not None else ()
        title, why = name or dataset.name, [*why, *_lacks(model)]
        return cls(model, dataset.frames, dataset.groups, parts, wanted, title, notes, why)

    def errors(self, part: str) -> tuple[pd.DataFrame, list[str]]:
        """Predict the frames of a part; return the errors, in all and by group, and what to know of them."""
        import numpy as np
        import pandas as pd
        from crossprune.harness.evaluation.metrics import errors_by_group

        predicted, labels, sizes, groups = self.predictions(part)
        rows = errors_by_group(predicted, labels, sizes, groups, np.arange(len(sizes)))
        notes = self._constants(part, predicted.energies - labels.energies) if UNKNOWN in self.why else []
        return pd.DataFrame([{"part": part, **row} for row in rows]), notes

    def _constants(self, part: str, wrong: FloatArray) -> list[str]:
        """Say whether energies are wrong (eV, of each frame) by little but a constant per element."""
        import numpy as np
        from crossprune.harness.data.frames import beyond_composition, element_counts, elements_of

        frames = [atoms for atoms, one in zip(self.frames, self.parts, strict=True) if one == part]
        counts = element_counts(frames, elements_of(frames))
        before = np.abs(wrong / counts.sum(axis=1)).mean()
        after = np.abs(beyond_composition(wrong, counts)).mean()
        if len(frames) <= SEVERAL * counts.shape[1] or before <= max(OFF * after, LEAST):
            return []
        return [
            f"part {part!r}: these energies differ from the labels by nearly a constant per element: MAE "
            f"{1e3 * before:.4g} meV/atom, and {1e3 * after:.4g} without it (fitted to this part): "
            "another zero of energies, or an error that these frames have in common"
        ]

    def predictions(self, part: str) -> tuple[Predictions, Predictions, IntArray, list[str]]:
        """Predict the frames of a part; return predictions, labels, and each frame's atoms and group."""
        import numpy as np
        from crossprune.harness.evaluation.metrics import labels_of

        places = [index for index, one in enumerate(self.parts) if one == part]
        frames = [self.frames[index] for index in places]
        sizes = np.array([len(atoms) for atoms in frames])
        predicted = _predicted(self.model, frames, part)
        return predicted, labels_of(frames), sizes, [self.groups[index] for index in places]

    def of_groups(self, wanted: Sequence[str]) -> Evaluation:
        """Keep the frames of some groups.

        Raises
        ------
        StudyError
            If the wanted parts have no frame of a group.
        """
        from dataclasses import replace

        from crossprune.harness.errors import StudyError, unknown_name

        pairs = list(zip(self.groups, self.parts, strict=True))
        known = {group for group, part in pairs if part in self.wanted}
        for one in wanted:
            if one not in known:
                raise StudyError(unknown_name("group", one, known))
        kept = [index for index, (group, _) in enumerate(pairs) if group in wanted]
        parts = [self.parts[index] for index in kept]
        return replace(
            self,
            frames=[self.frames[index] for index in kept],
            groups=[self.groups[index] for index in kept],
            parts=parts,
            wanted=[part for part in self.wanted if part in parts],
        )


ALL = "all"
"""As a split, every frame, whatever part it is in."""
DRAWING = ("split", "test_fraction", "seed", "split_key")
"""Options of loading that say how a split is drawn."""


def _loaded(
    potential: Source | Calculator, store: str | Path | None
) -> tuple[Potential | Calculator, FitData | None, str]:
    """Return a model, what it was fitted on, if that is known, and its name for messages."""
    from ase.calculators.calculator import BaseCalculator
    from crossprune.harness.contract import Potential
    from crossprune.harness.engine.stored import data_of_fit

    if isinstance(potential, Model):
        potential = potential.potential
    if isinstance(potential, (BaseCalculator, Potential)):
        return potential, None, "this potential"
    source = place_of(potential, store)
    return potential_of(source), data_of_fit(source), source


def _lacks(model: Potential | Calculator) -> list[str]:
    """Return what the reader of a published potential says that its file does not hold."""
    info = getattr(model, "info", None) or {}
    return [str(info["lacks"])] if "lacks" in info else []


def _flag(name: str) -> str:
    return "--split-method" if name == "split" else f"--{name.replace('_', '-')}"


def _parts(
    dataset: DataSet,
    data: str | None,
    fit: FitData | None,
    split: str | None,
    options: DataOptions,
    drawing: Sequence[str],
) -> tuple[list[str], list[str], list[str]]:
    """Return the part of each frame, the parts that are wanted, and lines that say why."""
    from crossprune.harness.data.frames import SPLITS
    from crossprune.harness.errors import StudyError
    from crossprune.harness.evaluation.seen import CHOSEN, NEW, PARTS, REMAINDER, parts_elsewhere

    why = [UNKNOWN]
    if split == ALL and fit is None:
        return [ALL] * len(dataset.frames), [ALL], ["all frames, as asked for", *why]
    if fit is not None:
        own = fit.dataset.name
        parts = parts_elsewhere(dataset.frames, fit.dataset, fit.subset)
        n_new, fitted = parts.count(NEW), f"fitted to {len(fit.subset)} frames of {own}"
        if split == ALL:
            among = f"{fitted}, {parts.count(CHOSEN)} of which are among these"
            return [ALL] * len(parts), [ALL], ["all frames, as asked for", among]
        if n_new < len(parts):
            why = [f"{fitted}; parts are those of its study: chosen is what it was fitted to"]
            if n_new:
                why.append(
                    f"{data} is another data set: {n_new} of its {len(parts)} frames are new to the study"
                )
            if drawing:
                why.append(f"{', '.join(map(_flag, drawing))} not used: the study has split these frames")
            wanted = [part for part in PARTS if part != CHOSEN] if split is None else [split]
            wanted = [REMAINDER, CHOSEN] if wanted == ["train"] else wanted
            return parts, _present(parts, wanted, data or own), why
        why = [f"{fitted}; {data} is another data set, without a frame in common"]
    if split is not None and split not in SPLITS:
        raise StudyError(
            f"--split {split}: for the data of the study that fitted the potential; here there are "
            f"{', '.join(SPLITS)}"
        )
    part = split or "test"
    taken = "as asked for" if split else "as nothing else was asked for"
    why.insert(0, f"part {part!r}, {taken}, {_origin(str(data), options)}")
    return list(dataset.split), _present(dataset.split, [part], str(data)), why


def _present(parts: Sequence[str], wanted: list[str], data: str) -> list[str]:
    from crossprune.harness.errors import StudyError

    if found := [part for part in wanted if part in parts]:
        return found
    raise StudyError(f"{data} has no {wanted[0]!r} part; it has: {', '.join(sorted(set(parts)))}")


def _origin(data: str, options: DataOptions) -> str:
    """Say whose split a data set that was just loaded has."""
    from crossprune.harness.data.cards import list_cards
    from crossprune.harness.data.partition import method_of

    method = method_of(options, given=data in list_cards())
    if method == "given":
        return (
            f"of the split that {f'its {options.split_key!r} says' if options.split_key else 'it comes with'}"
        )
    return (
        f"of a split that was drawn just now: {100 * options.test_fraction:g} % for test {DRAWN[method]}, "
        f"seed {options.seed} (others: --test-fraction, --split-method, --seed, --split-key; "
        f"the whole: --split {ALL})"
    )


def _predicted(model: Potential | Calculator, frames: Sequence[Atoms], part: str) -> Predictions:
    """Predict the frames of a part; whatever the potential's family does wrong is said in one line."""
    import numpy as np
    from crossprune.harness.contract import Potential
    from crossprune.harness.errors import DataError
    from crossprune.harness.lookup import of_family

    known = isinstance(model, Potential)
    kind = model.adapter if isinstance(model, Potential) else type(model).__name__
    target = f"{type(model).__module__}:{type(model).__qualname__}.{'predict_many' if known else 'calculate'}"
    with of_family(target, kind, f"cannot predict the frames of the part {part!r}"):
        predicted = model.predict_many(frames) if isinstance(model, Potential) else _computed(model, frames)
        shapes = [np.shape(one) for one in (predicted.energies, predicted.forces, predicted.stresses)]
        expected = [(len(frames),), (sum(map(len, frames)), 3), (len(frames), 6)]
        if shapes != expected:
            raise ValueError(f"it gave arrays of the shapes {shapes}, not {expected}")
        is_finite = np.isfinite(predicted.energies).all() and np.isfinite(predicted.forces).all()
    if not is_finite:
        raise DataError(
            f"this {kind} potential predicts energies or forces that are NaN or infinite for frames "
            f"of the part {part!r}; fit it again, or fetch a whole copy"
        )
    return predicted


def _computed(calculator: Calculator, frames: Sequence[Atoms]) -> Predictions:
    """Predict with any ASE calculator; stress where it is known and the cell periodic."""
    from ase.calculators.calculator import PropertyNotImplementedError
    from crossprune.harness.contract import Prediction, Predictions

    found = []
    for atoms in frames:
        frame = atoms.copy()
        frame.calc = calculator
        energy, forces = float(frame.get_potential_energy()), frame.get_forces()
        try:
            stress = frame.get_stress() if frame.pbc.all() else None
        except (PropertyNotImplementedError, NotImplementedError):
            stress = None
        found.append(Prediction(energy, forces, stress))
    return Predictions.from_list(found)
