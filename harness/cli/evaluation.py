"""``crossprune evaluate``: errors of a potential on frames, and what it has to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from crossprune.harness.cli import commands
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    from ase import Atoms
    from crossprune.harness.contract import IntArray, Potential, Predictions
    from crossprune.harness.data.cards import DataOptions
    from crossprune.harness.data.frames import DataSet
    from crossprune.harness.engine.stored import FitData

UNKNOWN = "what this potential was fitted to is not known, so some of these frames may be among it"
DRAWN = {
    "random": "at random",
    "stratified": "from each group",
    "blocks": "as a stretch of each trajectory",
    "groups": "by whole groups",
}
"""How the rules of `DataOptions.split` draw, in words."""
console = Console()


def evaluate(
    potential: Annotated[
        str, typer.Argument(help="Folder of a saved potential (STORE/objects/fit/…/potential), or SCHEME:….")
    ],
    data: Annotated[
        str | None, typer.Option("--data", help="Data set or file; default: what the store holds beside it.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Part: test, ood or train; of a study's data also remainder, chosen, new. Default: test, or "
            "all that a study did not fit to.",
        ),
    ] = None,
    split_method: Annotated[
        str | None, typer.Option("--split-method", help="given, stratified, random, blocks or groups.")
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option("--test-fraction", help="Share of the frames in the part test.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the split.")] = None,
    split_key: Annotated[
        str | None, typer.Option("--split-key", help="Of a file: key that holds train, test or ood.")
    ] = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
) -> None:
    """Evaluate a saved or published potential on labelled data.

    Example: `crossprune evaluate lammps:snap:Mo_Zuo_JPCA2020 --data mlearn-Mo`

    Schemes: lammps:STYLE:NAME, ace:FILE, chimes:FILE, nnp:FOLDER, and those of installed families.

    A potential in a store is evaluated on its study's data, split as there: test, ood and remainder (of
    the training part, what was not chosen). Of other potentials nobody knows what they were fitted to.
    """
    import numpy as np
    from crossprune.harness.cli.console import print_notes
    from crossprune.harness.data.cards import DataOptions, load_dataset
    from crossprune.harness.data.frames import SPLITS
    from crossprune.harness.engine.stored import data_of_fit
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.evaluation.seen import PARTS
    from crossprune.harness.lookup import load_potential
    from crossprune.harness.tables import from_table

    allowed = dict.fromkeys((*SPLITS, *PARTS))
    if split is not None and split not in allowed:
        raise StudyError(unknown_name("split", split, allowed))
    keys: dict[str, Any] = dict(
        commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    )
    how = {"split": split_method, "test_fraction": test_fraction, "seed": seed, "split_key": split_key}
    drawing = {name: value for name, value in how.items() if value is not None}
    options = from_table(DataOptions, {**keys, **drawing}, "options")
    model = load_potential(potential)
    fit = data_of_fit(potential)
    if data is None and fit is None:
        raise StudyError(f"{potential} is not in a store, so nobody knows its data; give --data SET")
    if data is None and (keys or drawing):
        given = ", ".join(_flag(name) for name in {**keys, **drawing})
        raise StudyError(f"{given}: for the data set of --data, and none is given")
    if data is not None:
        dataset = load_dataset(data, options=options)
        print_notes(console, {data: dataset.notes})
    elif fit is not None:
        dataset = fit.dataset
    parts, wanted, why = _parts(dataset, data, fit, split, options, drawing)
    console.print(f"{potential} on {data or dataset.name}", markup=False, highlight=False, soft_wrap=True)
    for line in why:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for part in wanted:
        console.print(_table(model, dataset, np.flatnonzero(np.array(parts) == part), part))


def _flag(name: str) -> str:
    return "--split-method" if name == "split" else f"--{name.replace('_', '-')}"


def _parts(
    dataset: DataSet,
    data: str | None,
    fit: FitData | None,
    split: str | None,
    options: DataOptions,
    drawing: dict[str, Any],
) -> tuple[list[str], list[str], list[str]]:
    """Return the part of each frame, the parts that are wanted, and lines that say why."""
    from crossprune.harness.data.frames import SPLITS
    from crossprune.harness.errors import StudyError
    from crossprune.harness.evaluation.seen import CHOSEN, NEW, PARTS, REMAINDER, parts_elsewhere

    why = [UNKNOWN]
    if fit is not None:
        own = fit.dataset.name
        parts = parts_elsewhere(dataset.frames, fit.dataset, fit.subset)
        n_new, fitted = parts.count(NEW), f"fitted to {len(fit.subset)} frames of {own}"
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


def _present(parts: list[str] | tuple[str, ...], wanted: list[str], data: str) -> list[str]:
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
        f"seed {options.seed} (others: --test-fraction, --split-method, --seed, --split-key)"
    )


def _table(model: Potential, dataset: DataSet, indices: IntArray, part: str) -> Table:
    """Predict the frames of a part and lay out the errors, in all and by group."""
    import numpy as np
    from crossprune.harness.evaluation.metrics import METRICS, errors_by_group, labels_of

    view = Table("group", "frames", "energy MAE", "energy RMSE", "force MAE", "force RMSE", "stress MAE")
    view.title, view.title_justify = f"part: {part}", "left"
    frames = [dataset.frames[index] for index in indices]
    groups = [dataset.groups[index] for index in indices]
    sizes = np.array([len(atoms) for atoms in frames])
    predicted = _predicted(model, frames, part)
    for row in errors_by_group(predicted, labels_of(frames), sizes, groups, np.arange(len(frames))):
        values = [float(row[name]) for name in METRICS]
        energy, force = (f"{value:.2f}" for value in values[:2]), (f"{value:.4f}" for value in values[2:4])
        stress = "" if np.isnan(values[4]) else f"{values[4]:.3f}"
        view.add_row(escape(str(row["group"])), str(row["n_eval_configurations"]), *energy, *force, stress)
    view.caption = "energies meV/atom, forces eV/Å per component, stress GPa"
    return view


def _predicted(model: Potential, frames: list[Atoms], part: str) -> Predictions:
    """Predict the frames of a part; whatever the potential's family does wrong is said in one line."""
    import numpy as np
    from crossprune.harness.errors import DataError
    from crossprune.harness.lookup import of_family

    target = f"{type(model).__module__}:{type(model).__qualname__}.predict_many"
    with of_family(target, model.adapter, f"cannot predict the frames of the part {part!r}"):
        predicted = model.predict_many(frames)
        shapes = [np.shape(one) for one in (predicted.energies, predicted.forces, predicted.stresses)]
        expected = [(len(frames),), (sum(map(len, frames)), 3), (len(frames), 6)]
        if shapes != expected:
            raise ValueError(f"it gave arrays of the shapes {shapes}, not {expected}")
        is_finite = np.isfinite(predicted.energies).all() and np.isfinite(predicted.forces).all()
    if not is_finite:
        raise DataError(
            f"this {model.adapter} potential predicts energies or forces that are NaN or infinite for frames "
            f"of the part {part!r}; fit it again, or fetch a whole copy"
        )
    return predicted
