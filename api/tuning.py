"""Choose a model's options, or its group weights, by cross-validation on training labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imported when something is tuned
    from crossprune.harness.engine.loop import Progress
    from crossprune.validation.search import Tuned
    from crossprune.validation.weights import Reweighted

LONGEST_S = 3600.0
"""Wall time of one fit, s."""


def tune(
    model: str,
    data: str | Path,
    *,
    store: str | Path | None = None,
    folds: int = 5,
    workers: int = 0,
    options: Mapping[str, Any] | None = None,
    loading: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """Try a family's search space by cross-validation on the training part of a data set.

    Trajectories are cut into stretches and copies stay on one side, so that none leaks. The test part is
    never looked at; but options that were tuned have seen all training labels, and no set that is pruned
    afterwards is free of them: tables and reports say so.

    Parameters
    ----------
    model
        Name of an adapter, such as ``"snap"``.
    data
        Name of a data set, path of an extended-XYZ file or ASE database, or path of a study (TOML) with one
        data set: then its ``[data]`` and ``[options]`` tables count, and its test part is kept out.
    store
        Folder in which fits are kept; the same call goes on from there. Default: ``crossprune-tune-MODEL``.
    folds
        Parts that are predicted in turn.
    workers
        Processes; 0 runs in this one.
    options
        Options that stay as they are.
    loading
        As in a study's ``[data.NAME]`` table, such as ``{"energy_key": "dft_energy"}``.
    on_progress
        Called as fits end.

    Returns
    -------
    Tuned
        ``tried``, a data frame with a row per point, best first; ``best``, its options; ``to_toml()``.

    Raises
    ------
    StudyError
        If the adapter is not known or has no search space.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = crossprune.tune("snap", "si-pbe", store=folder, folds=2, options={"twojmax": 2},
    ...                             loading={"smoke": True})
    >>> len(found.tried), sorted(found.best)
    (12, ['cutoff', 'energy_weight', 'twojmax'])
    """
    from crossprune.harness.engine.clusters import executor_of
    from crossprune.harness.lookup import family_of
    from crossprune.validation.search import asked_by, search

    family_of(model)  # an unknown one leaves no folder behind
    name, fixed, loading = asked_by(model, str(data), options or {}, loading or {})
    executor = executor_of("local", workers, LONGEST_S)
    try:
        return search(
            model,
            name,
            store=_store(store, model),
            executor=executor,
            folds=folds,
            options=fixed,
            loading=loading,
            on_progress=on_progress,
        )
    finally:
        executor.shutdown(cancel_futures=True)


def reweight(
    model: str,
    data: str | Path,
    *,
    store: str | Path | None = None,
    folds: int = 5,
    options: Mapping[str, Any] | None = None,
    loading: Mapping[str, Any] | None = None,
) -> Reweighted:
    """Choose group weights of a linear model by cross-validation on the training part of a data set.

    Parameters
    ----------
    model, data, store, folds, options, loading
        As for `tune`.

    Returns
    -------
    Reweighted
        ``weights`` by group, validation errors before and after, seconds; ``to_toml()``.

    Raises
    ------
    StudyError
        If the family is not linear in its coefficients.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = crossprune.reweight("snap", "si-pbe", store=folder, folds=2, options={"twojmax": 2},
    ...                                 loading={"smoke": True})
    >>> "vacancy" in found.weights, found.after[0] < found.before[0]
    (True, True)
    """
    from crossprune.harness.lookup import family_of
    from crossprune.validation.search import asked_by
    from crossprune.validation.weights import reweight as chosen

    family_of(model)
    name, fixed, loading = asked_by(model, str(data), options or {}, loading or {})
    return chosen(model, name, store=_store(store, model), folds=folds, options=fixed, loading=loading)


def _store(folder: str | Path | None, model: str) -> Any:
    """Open the folder of results."""
    from crossprune.harness.store.objects import Store

    return Store(Path(f"crossprune-tune-{model}") if folder is None else Path(folder))
