"""Choose which frames to label: `select`, and `Selector` for points of your own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import (
    FOR_TESTS,
    AdapterSpec,
    adapter_class,
    families,
    missing_packages,
    resolve,
)
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import METHODS, method_of
from crossprune.labelling.coverage import scores
from crossprune.labelling.points import InMemory
from crossprune.labelling.request import ALL, Request, is_whole
from crossprune.labelling.select import choose_frames
from crossprune.labelling.selection import Selection
from crossprune.labelling.sources import Source
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

__all__ = ["Selection", "Selector", "select"]

DEFAULT = "snap"
"""Whose space is chosen in unless another is named."""
NO_MODELS = ("mean", FOR_TESTS)
"""Families that are there to compare with, and to test with."""
Frames: TypeAlias = Source | Sequence[Source]
"""A path, the name of a data set, a list of `ase.Atoms`; or a list of these."""


def select(
    pool: Frames,
    n: int | str | None = None,
    *,
    fraction: float | None = None,
    given: Frames = (),
    exclude: Frames = (),
    chooser: str | Sequence[str] | None = None,
    method: str = "fps",
    budget: str = "configurations",
    space: str = "atoms",
    scaling: str = "standard",
    pooling: str = "mean",
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    group_key: str | None = None,
    refits: str | Path | None = None,
    workers: int = 1,
    folder: str | Path | None = None,
    memory_gb: float = 4.0,
    on_progress: Callable[[str, int, int | None], object] | None = None,
) -> Selection:
    """Choose which frames of a pool to label, given what is labelled already.

    Labels play no part, and need not be there. The pool is read and described in blocks that lie on disk,
    so it may be larger than the memory.

    Parameters
    ----------
    pool
        What to choose from: paths (extended XYZ, compressed or not, or an ASE database), names of data sets
        (their training parts), or lists of `ase.Atoms`; molecules, slabs and crystals may be mixed.
    n
        How many frames, exactly; or how many atoms or labels at most, as ``budget`` says; ``"all"`` orders
        the whole pool. Give this or ``fraction``.
    fraction
        Of the frames (atoms, labels) that can be chosen, in (0, 1].
    given
        Frames that are labelled already: the choice completes them, and copies of them are not chosen again.
    exclude
        Frames, copies of which must not be chosen (a test set), or patterns of groups: ``"surface*"``.
    chooser
        The family in whose latent space is chosen; of several, or ``"all"`` (every one that describes and
        fits), the frames that are far apart in all of their spaces at once. Default: snap; for a method that
        looks at no features none, and nothing is described.
    method
        A selection method of docs/selection.md that needs no labels: fps, direct, d_optimal, random, ….
    budget
        What ``n`` counts and ``fraction`` is of: configurations, atoms, or labels.
    space, scaling, pooling
        The latent space, as in a study.
    seed
        Breaks ties, and draws where the method does: the same seed chooses the same.
    options
        Of families, as the ``[options.NAME]`` tables of a study.
    group_key
        Key in ``info`` that holds a frame's group; default: ``group``, then ``config_type``.
    refits
        Folder of a finished run: the selection says who chose best there for which model on data with the
        same elements.
    workers
        Processes that read and describe.
    folder
        Where blocks are kept: the same call goes on from there. Default: a folder that is removed.
    memory_gb
        What choosing may take, GB; farthest points of larger pools are read from disk.
    on_progress
        Called with what is done, the frames done, and all frames (None if not known).

    Returns
    -------
    Selection
        The frames in the order of picking (``frames``, ``indices``, ``table``), how well they cover the pool
        (``coverage``, ``verdict``), and ``write``; printed, it says so in words.

    Raises
    ------
    DataError
        If a file or a frame cannot be used; the message names it.
    StudyError
        If a name is unknown, or there is less to choose from than is asked for.
    MissingPackage
        If a chooser needs a package that is not installed.

    Examples
    --------
    >>> import crossprune
    >>> from ase.build import bulk
    >>> pool = [bulk("Si", cubic=True) for _ in range(12)]
    >>> for seed, atoms in enumerate(pool):
    ...     atoms.rattle(0.01 * seed, seed=seed)
    >>> chosen = crossprune.select(pool, 3, chooser="snap")
    >>> len(chosen.frames), chosen.frames[0].info["selection_order"]
    (3, 0)
    >>> more = crossprune.select(pool, 2, given=chosen.frames, chooser="snap")
    >>> set(more.indices) & set(chosen.indices)
    set()
    """
    try:
        request = Request(
            specs=_specs(chooser, options or {}, needed=method_of(method).described),
            n=n,
            fraction=fraction,
            method=method,
            budget=budget,
            space=space,
            scaling=scaling,
            pooling=pooling,
            seed=seed,
            keys=Keys(group=group_key),
            workers=workers,
            memory_gb=memory_gb,
            refits=None if refits is None else Path(refits),
        )
    except ValueError as error:
        raise StudyError(str(error)) from None
    return choose_frames(
        pool,
        request,
        given=given,
        exclude=exclude,
        folder=None if folder is None else Path(folder),
        on_progress=on_progress or (lambda what, done, total: None),
    )


def _specs(
    chooser: str | Sequence[str] | None, options: Mapping[str, Mapping[str, Any]], *, needed: bool
) -> tuple[AdapterSpec, ...]:
    """Resolve names of choosers; a method that looks at no features needs none."""
    if chooser is None:
        chooser = [DEFAULT] if needed else []
    names = [chooser] if isinstance(chooser, str) else list(dict.fromkeys(chooser))
    if ALL in names:
        names = [one for one in families() if _fits_and_describes(one) and not missing_packages(one)]
    return tuple(resolve(name, options) for name in names)


def _fits_and_describes(name: str) -> bool:
    try:
        can = adapter_class(name).capabilities
    except ImportError:  # said where it is asked for by its name
        return False
    return can.describes and can.fits and name not in NO_MODELS


class Selector(BaseEstimator):  # type: ignore[misc]
    """Choose rows of an array by a selection method, in the manner of scikit-learn.

    Parameters
    ----------
    n_to_select
        How many samples, or as a float in (0, 1] which fraction of them.
    method
        A selection method of docs/selection.md that needs no labels: fps, d_optimal, direct, ….
    scaling
        How columns are weighted: none, standard, whitened, or pca:K.
    seed
        Breaks ties and draws.

    Attributes
    ----------
    indices_
        Chosen samples in the order of picking, shape (n_to_select,).
    support_
        Which samples are chosen, shape (n_samples,).
    scores_
        Distance of each pick to the nearest that was given or picked before, in the scaled space.
    n_features_in_
        Columns seen by ``fit``.

    Examples
    --------
    >>> import numpy as np
    >>> import crossprune
    >>> points = np.random.default_rng(0).normal(size=(100, 3))
    >>> selector = crossprune.Selector(n_to_select=5).fit(points)
    >>> int(selector.support_.sum()), selector.transform(points).shape
    (5, (5, 3))
    """

    def __init__(
        self, n_to_select: int | float = 0.1, *, method: str = "fps", scaling: str = "standard", seed: int = 0
    ) -> None:
        self.n_to_select = n_to_select
        self.method = method
        self.scaling = scaling
        self.seed = seed

    def fit(
        self, X: ArrayLike, y: None = None, *, groups: Sequence[str] | None = (), given: ArrayLike = ()
    ) -> Selector:
        """Choose samples.

        Parameters
        ----------
        X
            Shape (n_samples, n_features); finite.
        y
            Not used.
        groups
            Of each sample, for methods such as stratified or fps@groups.
        given
            Indices of samples that are labelled already; the choice completes them.

        Raises
        ------
        StudyError
            If ``X`` is no finite table, or there are not so many samples to choose.
        """
        points = _numbers(X)
        known, free = _places(given, len(points))
        n = self.n_to_select
        if isinstance(n, float | np.floating) and 0 < n <= 1:
            n = max(1, int(n * free + 0.5))
        if not is_whole(n) or not 0 < n <= free:
            raise StudyError(
                f"{n!r} samples are asked for, and {free} can be chosen; give 1 to {free}, "
                "or a part in (0, 1]"
            )
        try:
            if len(known) and not method_of(self.method).conditional:
                able = ", ".join(name for name, one in METHODS.items() if one.conditional)
                raise StudyError(f"method {self.method!r} cannot complete given samples; these can: {able}")
            candidates = Candidates(
                features=points,
                offsets=np.arange(len(points) + 1),
                groups=[] if groups is None else list(groups),
                scaling=self.scaling,
                given=known,
            )
            space = InMemory(candidates)
            self.indices_: IntArray = space.choose(self.method, int(n), np.random.default_rng(self.seed))
        except ValueError as error:
            raise StudyError(str(error)) from None
        self.scores_: FloatArray = scores(space, known, self.indices_)
        self.support_: NDArray[np.bool_] = np.isin(np.arange(len(points)), self.indices_)
        self.n_features_in_ = points.shape[1]
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """Return the chosen rows of what was fitted, in the order of picking.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If nothing was fitted.
        StudyError
            If ``X`` has not the samples of what was.
        """
        check_is_fitted(self)
        points = np.asarray(X, dtype=np.float64)
        if len(points) != len(self.support_):
            raise StudyError(f"X has {len(points)} samples, and of {len(self.support_)} was chosen")
        rows: FloatArray = points[self.indices_]
        return rows


def _numbers(X: ArrayLike) -> FloatArray:
    """Return a table of finite numbers."""
    try:
        points = np.asarray(X)
        if np.iscomplexobj(points):
            raise TypeError("complex numbers")
        points = points.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise StudyError(f"X must be a table of finite numbers: {error}") from None
    if points.ndim != 2 or not np.isfinite(points).all():
        raise StudyError(f"X must be a table of finite numbers, got shape {points.shape}")
    return points


def _places(given: ArrayLike, n_samples: int) -> tuple[IntArray, int]:
    """Return the numbers of given samples, and how many others there are; a mask is none of numbers."""
    known = np.asarray(given)
    if known.ndim != 1 or (known.size and known.dtype.kind not in "iu"):
        raise StudyError(
            f"given must be distinct numbers of samples, from 0 to {n_samples - 1}, got "
            f"{known.tolist()!r:.60}; of a mask, np.flatnonzero"
        )
    return known.astype(np.int64), n_samples - len(known)
