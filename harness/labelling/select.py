"""Choose which frames of a pool to label: read, describe, choose, and say what the choice is worth."""

from __future__ import annotations

import contextlib
import fnmatch
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.spaces.worth import MOST, Verdict, verdict_on
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.names import is_file
from crossprune.harness.engine.pool import LocalPool, SerialExecutor
from crossprune.harness.errors import StudyError
from crossprune.harness.labelling.blocks import Described, structures_in
from crossprune.harness.labelling.coverage import coverage, scores
from crossprune.harness.labelling.points import STREAMED, InMemory, OnDisk, Points, joint, on_disk
from crossprune.harness.labelling.pool import AHEAD, OnProgress, Pool, copied, describe_pool, described, read_pool
from crossprune.harness.labelling.refits import advice
from crossprune.harness.labelling.selection import Selection
from crossprune.harness.labelling.sources import EXCLUDED, GIVEN, POOL, Frames, Source, sources_of
from crossprune.harness.lookup import AdapterSpec, adapter_class
from crossprune.harness.selection.axes import MODEL
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.gathering import kinds_of
from crossprune.harness.selection.methods import BUDGETS, METHODS, affordable, method_of
from numpy.typing import NDArray

ALL = "all"
"""As a number, every frame that can be chosen; as a chooser, every family that describes and fits."""
TASK_S = 3600.0
"""Wall time of a block, seconds."""
COPIES = 6
"""Copies of the points that a method other than fps holds at once, at most."""
LARGE_POOL = 1 << 28
"""Bytes of points above which farthest points are read from disk."""
CONSENSUS = "consensus"


@dataclass(frozen=True)
class Request:
    """What to choose, and how."""

    specs: tuple[AdapterSpec, ...]
    """Families in whose latent spaces is chosen; of several in all at once. Empty to draw at random."""
    n: int | str | None = None
    """Of what ``budget`` counts; `ALL` for everything. This or ``fraction``."""
    fraction: float | None = None
    """Of what can be chosen, in (0, 1]."""
    method: str = "fps"
    budget: str = "configurations"
    space: str = "atoms"
    scaling: str = "standard"
    pooling: str = "mean"
    seed: int = 0
    keys: Keys = field(default_factory=Keys)
    workers: int = 1
    """Processes; 1 works in this one."""
    memory_gb: float = 4.0
    """What choosing may take, GB."""
    refits: Path | None = None
    """A finished run, asked who chose best for which model."""

    def __post_init__(self) -> None:
        """Check what can be checked before anything is read."""
        method = method_of(self.method)
        if (self.n is None) == (self.fraction is None):
            raise StudyError("give either a number of frames (n) or a fraction of the pool")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise StudyError(f"fraction {self.fraction:g} is not in (0, 1]; 0.1 takes 10 % of the pool")
        is_number = isinstance(self.n, int | np.integer) and not isinstance(self.n, bool)
        if self.n is not None and not (is_number and int(self.n) > 0) and self.n != ALL:
            raise StudyError(f"n is {self.n!r}; give a whole number above 0, or {ALL!r}")
        if self.budget not in BUDGETS:
            raise StudyError(f"budget {self.budget!r}: give {', '.join(BUDGETS)}")
        if method.described and not self.specs:
            raise StudyError(f"method {self.method!r} looks at a latent space: whose? Give a chooser")
        if self.method in ("gradient_fps", "energy_spread", "force_spread"):
            raise StudyError(
                f"method {self.method!r} looks at labels, which a pool to be labelled has not; "
                "give another, such as fps"
            )
        if len(self.specs) > 1 and not method.pooled and method.described:
            raise StudyError(
                f"method {self.method!r} looks at atoms, and several choosers agree on configurations "
                "only; give one chooser, or a method such as fps, d_optimal or direct"
            )
        for spec in self.specs:
            can = adapter_class(spec.adapter).capabilities
            if not can.describes:
                raise StudyError(f"adapter {spec.adapter!r} is no descriptor, so it cannot choose data")
            if self.space != "atoms" and not can.rows:
                raise StudyError(f"{spec.adapter!r} has no design rows; give space 'atoms'")
            if self.scaling == MODEL and not can.metric:
                raise StudyError(f"{spec.adapter!r} has no metric of a fit; give another scaling than 'model'")


def choose_frames(
    pool: Source | Sequence[Source],
    request: Request,
    *,
    given: Source | Sequence[Source] = (),
    exclude: Source | Sequence[Source] = (),
    folder: Path | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
) -> Selection:
    """Choose frames of a pool, as `crossprune.select` describes.

    Raises
    ------
    DataError
        If a file or frame cannot be used.
    StudyError
        If the request does not fit the pool.
    """
    patterns, files = _divided(exclude)
    sources = [*sources_of(pool, POOL), *sources_of(given, GIVEN), *sources_of(files, EXCLUDED)]
    n_ahead = AHEAD * max(1, request.workers)
    with _folder(folder) as work, _executor(request.workers) as executor:
        known = read_pool(sources, request.keys, work, executor, n_ahead, on_progress)
        advised = pd.DataFrame() if request.refits is None else advice(request.refits, known.elements)
        out, notes = _kept_out(known, patterns, copied(known, executor, n_ahead, on_progress))
        choice = _Choice.of(known, out, request)
        spaces = [_Space(spec, request, choice, work, executor, n_ahead, on_progress) for spec in request.specs]
        return replace(_select(choice, spaces, work, notes), advice=advised)


@dataclass(frozen=True, eq=False)
class _Choice:
    """What can be chosen and how much of it; positions count frames that are free or given."""

    pool: Pool
    request: Request
    kept: NDArray[np.bool_]
    """Frames of all sources that are free or given, shape (n_all,)."""
    given: IntArray
    """Positions of the given."""
    free: IntArray
    n: int
    """Frames to choose, or to begin with."""
    limit: float | None
    """What they may cost; None where they are counted."""

    @classmethod
    def of(cls, pool: Pool, out: NDArray[np.bool_], request: Request) -> _Choice:
        """Find what can be chosen.

        Raises
        ------
        StudyError
            If there is nothing, or less than is asked for.
        """
        roles = pool.roles
        kept = (roles == GIVEN) | ((roles == POOL) & ~out)
        role = roles[kept]
        free, given = np.flatnonzero(role == POOL), np.flatnonzero(role == GIVEN)
        if len(free) == 0:
            raise StudyError("the pool has no frame that can be chosen: all are given or excluded")
        if len(given) and not method_of(request.method).conditional:
            able = ", ".join(name for name, one in METHODS.items() if one.conditional)
            raise StudyError(f"method {request.method!r} cannot complete given frames; these can: {able}")
        costs = pool.cost(request.budget)
        total = len(free) if costs is None else int(costs[kept][free].sum())
        wanted = total if request.n == ALL else request.n
        if request.fraction is not None:
            wanted = max(1, int(request.fraction * total + 0.5))
        assert isinstance(wanted, int | np.integer)
        if wanted > total:
            unit = "frames" if costs is None else request.budget
            raise StudyError(f"{wanted} {unit} are asked for, and the pool has {total}; give at most that")
        if costs is None or wanted == total:
            return cls(pool, request, kept, given, free, len(free) if wanted == total else int(wanted), None)
        first = max(1, int(wanted / total * len(free)))
        return cls(pool, request, kept, given, free, first, float(wanted))

    @property
    def groups(self) -> NDArray[np.str_]:
        """Group of each, shape (n,)."""
        return self.pool.groups[self.kept]

    def picks(self, points: Points) -> IntArray:
        """Choose; the same seed chooses the same."""
        seed, method = self.request.seed, self.request.method
        if self.limit is None:
            return points.choose(method, self.n, np.random.default_rng(seed))
        costs = self.pool.cost(self.request.budget)
        assert costs is not None
        return affordable(
            lambda n: points.choose(method, n, np.random.default_rng(seed)),
            costs[self.kept],
            self.limit,
            self.n,
            len(self.free),
        )


class _Space:
    """The pool as one chooser describes it."""

    def __init__(
        self,
        spec: AdapterSpec,
        request: Request,
        choice: _Choice,
        work: Path,
        executor: Executor,
        n_ahead: int,
        on_progress: OnProgress,
    ) -> None:
        method = method_of(request.method)
        self.spec, self._choice = spec, choice
        self.is_whole = request.scaling == MODEL or (method.described and not method.pooled)
        space = (request.space, request.pooling)
        self._files = describe_pool(
            choice.pool, spec, space, work, executor, n_ahead, on_progress, whole=self.is_whole
        )
        self.n_bytes = sum(one.values.nbytes for one in self.blocks())

    def blocks(self) -> Iterator[Described]:
        """Yield what is described of the frames that are free or given."""
        yield from described(self._choice.pool, self._files, self._choice.kept)

    def candidates(self) -> Candidates:
        """Gather all of it in memory."""
        request, pool, choice = self._choice.request, self._choice.pool, self._choice
        parts = list(self.blocks())
        values = np.concatenate([one.values for one in parts])
        lengths = np.concatenate([np.diff(one.offsets) for one in parts])
        if request.scaling == MODEL:
            values = self._in_metric(values, pool, choice.kept)
        return Candidates(
            features=values,
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            groups=choice.groups.tolist(),
            scaling=request.scaling,
            pooling=request.pooling if self.is_whole else "mean",
            given=choice.given,
            largest=max(one.largest for one in parts),
        )

    def _in_metric(self, values: FloatArray, pool: Pool, kept: NDArray[np.bool_]) -> FloatArray:
        every = [one for file in pool.files for one in structures_in(file)]
        structures = [one for one, is_kept in zip(every, kept.tolist(), strict=True) if is_kept]
        kinds = kinds_of(structures, pool.elements, self._choice.request.space)
        return self.spec.make(pool.elements).metric(values, kinds)


def _select(choice: _Choice, spaces: Sequence[_Space], work: Path, notes: list[str]) -> Selection:
    """Choose in one space, or in all at once and in each for comparison."""
    request, rng = choice.request, np.random.default_rng([choice.request.seed, 1])
    if not spaces:
        nothing = Candidates(
            features=np.empty((int(choice.kept.sum()), 0)),
            offsets=np.arange(int(choice.kept.sum()) + 1),
            groups=choice.groups.tolist(),
            given=choice.given,
        )
        picked = choice.picks(InMemory(nothing))
        return _selection(choice, picked, None, None, pd.DataFrame(), pd.DataFrame(), notes)
    points = _points(choice, spaces, work)
    picked = choice.picks(points)
    nested = method_of(request.method).nested
    covered = coverage(points, choice.free, choice.given, picked, rng, nested=nested)
    looked = np.sort(rng.permutation(choice.free)[:MOST])
    verdict = verdict_on(
        points.take(looked), choice.groups[looked].tolist(), np.random.default_rng(0), len(choice.free)
    )
    agreement = _agreement(choice, spaces, picked, work)
    far = scores(points, choice.given, picked)
    return _selection(choice, picked, far, verdict, covered, agreement, notes)


def _points(choice: _Choice, spaces: Sequence[_Space], work: Path) -> Points:
    """Take points into memory, or lay them on disk where they are too many.

    Raises
    ------
    StudyError
        If they are, and the method or scaling needs them in memory.
    """
    request, n_bytes = choice.request, sum(one.n_bytes for one in spaces)
    if n_bytes > LARGE_POOL and request.method == "fps" and request.scaling in STREAMED:
        rng = np.random.default_rng(request.seed)
        names = "-".join(one.spec.label for one in spaces)

        def views() -> Iterator[tuple[Described, ...]]:
            return zip(*(one.blocks() for one in spaces), strict=True)

        file = work / f"points-{names}.bin"
        return on_disk(views, request.scaling, int(choice.kept.sum()), choice.given, file, rng)
    if COPIES * n_bytes > 1e9 * request.memory_gb:
        raise StudyError(
            f"the pool's {n_bytes / 1e9:.1f} GB of features may take {COPIES * n_bytes / 1e9:.0f} GB with "
            f"{request.method!r} and scaling {request.scaling!r}, above the limit of {request.memory_gb:g} GB; "
            f"fps with scaling {' or '.join(STREAMED)} reads them from disk, or raise the limit"
        )
    several = [one.candidates() for one in spaces]
    return InMemory(several[0] if len(several) == 1 else joint(several))


def _agreement(choice: _Choice, spaces: Sequence[_Space], taken: IntArray, work: Path) -> pd.DataFrame:
    """Compare what each chooser would have taken with what the others would, and with what was."""
    if len(spaces) < 2:
        return pd.DataFrame()
    sets = {one.spec.label: choice.picks(_points(choice, [one], work)) for one in spaces}
    sets[CONSENSUS] = taken
    rows = [
        {
            "first": first,
            "second": second,
            "shared": len(np.intersect1d(sets[first], sets[second])) / len(sets[first]),
            "by_chance": len(sets[second]) / len(choice.free),
        }
        for number, first in enumerate(sets)
        for second in list(sets)[number + 1 :]
    ]
    return pd.DataFrame(rows)


def _selection(
    choice: _Choice,
    picked: IntArray,
    far: FloatArray | None,
    verdict: Verdict | None,
    covered: pd.DataFrame,
    agreement: pd.DataFrame,
    notes: list[str],
) -> Selection:
    pool = choice.pool
    frames = np.flatnonzero(choice.kept)[picked]
    of_pool = np.cumsum(pool.roles == POOL) - 1
    places = zip(pool.source[frames].tolist(), pool.place[frames].tolist(), strict=True)
    numbers = [pool.sources[source].numbers for source in range(len(pool.sources))]
    table = pd.DataFrame(
        {
            "order": np.arange(len(picked)),
            "score": np.full(len(picked), np.nan) if far is None else far,
            "file": [pool.sources[number].name for number in pool.source[frames]],
            "frame": [place if (own := numbers[source]) is None else own[place] for source, place in places],
            "group": pool.groups[frames],
            "n_atoms": pool.sizes[frames],
            "index": of_pool[frames],
            "source": pool.source[frames],
            "place": pool.place[frames],
        }
    )
    return Selection(
        table=table,
        coverage=covered,
        verdict=verdict,
        agreement=agreement,
        advice=pd.DataFrame(),
        n_pool=len(choice.free),
        notes=tuple(notes),
        sources=pool.sources,
    )


def _divided(exclude: Source | Sequence[Source]) -> tuple[list[str], list[Source]]:
    """Tell patterns of groups from sources of frames."""
    if isinstance(exclude, str | Path):
        exclude = [exclude]
    if len(exclude) and not isinstance(exclude[0], str | Path):
        return [], sources_as_list(exclude)
    patterns = [one for one in exclude if isinstance(one, str) and not _is_source(one)]
    return patterns, [one for one in exclude if one not in patterns]


def sources_as_list(given: Source | Sequence[Source]) -> list[Source]:
    """Return a list of sources: one list of structures is one source."""
    return [given] if len(sources_of(given, EXCLUDED)) == 1 else list(given)  # type: ignore[list-item, arg-type]


def _is_source(name: str) -> bool:
    from crossprune.harness.data.cards import list_cards

    return is_file(Path(name)) or name in list_cards()


def _kept_out(
    pool: Pool, patterns: Sequence[str], copies: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Mark frames that may not be chosen, and say how many.

    Raises
    ------
    StudyError
        If a pattern fits no group.
    """
    mine, notes = pool.roles == POOL, []
    out = copies.copy()
    if copies.any():
        notes.append(
            f"{int(copies.sum())} frames of the pool are copies of given or excluded ones, and are left out"
        )
    for pattern in patterns:
        known = set(pool.groups[mine].tolist())
        fits = [group for group in known if fnmatch.fnmatchcase(group, pattern)]
        if not fits:
            shown = ", ".join(sorted(known)[:20])
            raise StudyError(
                f"exclude {pattern!r} is no file and fits no group of the pool; groups: {shown}"
            )
        marks = mine & np.isin(pool.groups, fits)
        notes.append(f"{int(marks.sum())} frames of {', '.join(sorted(fits))} are left out, as asked for")
        out |= marks
    return out, notes


@contextlib.contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """Work in a folder that stays, or in one that does not."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="crossprune-select-") as name:
            yield Path(name)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


@contextlib.contextmanager
def _executor(workers: int) -> Iterator[Executor]:
    """Yield workers; they stop at once where something fails."""
    if workers <= 1:
        yield SerialExecutor()
        return
    executor = LocalPool(workers, TASK_S)
    done = False
    try:
        yield executor
        done = True
    finally:
        executor.shutdown(cancel_futures=not done)


__all__ = ["ALL", "OnDisk", "Request", "choose_frames"]
