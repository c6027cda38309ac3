"""Choose which frames of a pool to label: read, describe, choose, and say what the choice is worth."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.spaces.worth import MOST, Verdict, verdict_on
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.processes.pool import LocalPool, SerialExecutor
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.selection.axes import MODEL
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.gathering import kinds_of
from crossprune.harness.selection.methods import method_of
from crossprune.labelling.blocks import Described, structures_in
from crossprune.labelling.choice import Choice, kept_out
from crossprune.labelling.coverage import coverage, scores
from crossprune.labelling.points import STREAMED, InMemory, Points, joint, on_disk
from crossprune.labelling.pool import (
    AHEAD,
    OnProgress,
    Pool,
    copied,
    describe_pool,
    described,
    read_pool,
)
from crossprune.labelling.refits import advice
from crossprune.labelling.request import Request
from crossprune.labelling.selection import Selection
from crossprune.labelling.sources import EXCLUDED, GIVEN, POOL, Source, is_source, listed, sources_of
from numpy.typing import NDArray

TASK_S = 3600.0
"""Wall time of a block, seconds."""
COPIES = 6
"""Copies of the points that a method other than fps holds at once, at most."""
LARGE_POOL = 1 << 28
"""Bytes of points above which farthest points are read from disk."""
CONSENSUS = "consensus"


def choose_frames(
    pool: Source | Iterable[Source],
    request: Request,
    *,
    given: Source | Iterable[Source] | None = (),
    exclude: Source | Iterable[Source] | None = (),
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
    unwanted = listed(exclude)
    patterns = [one for one in unwanted if isinstance(one, str) and not is_source(one)]
    files = [one for one in unwanted if not (isinstance(one, str) and one in patterns)]
    sources = [*sources_of(pool, POOL), *sources_of(given, GIVEN), *sources_of(files, EXCLUDED)]
    n_ahead = AHEAD * max(1, request.workers)
    with _folder(folder) as work, _executor(request.workers) as executor:
        known = read_pool(sources, request.keys, work, executor, n_ahead, on_progress)
        if not (known.roles == POOL).any():
            raise StudyError("the pool holds no frames; give a file or a list of structures")
        advised = pd.DataFrame() if request.refits is None else advice(request.refits, known.elements)
        out, notes = kept_out(known, patterns, copied(known, executor, n_ahead, on_progress))
        choice = Choice.of(known, out, request)
        specs = [spec.following(known.spacing()) for spec in request.specs]
        notes += [f"{one.label}: {one.followed} Å, by the spacing of atoms" for one in specs if one.followed]
        spaces = [_Space(spec, request, choice, work, executor, n_ahead, on_progress) for spec in specs]
        return replace(_select(choice, spaces, work, notes), advice=advised)


class _Space:
    """The pool as one chooser describes it."""

    def __init__(
        self,
        spec: AdapterSpec,
        request: Request,
        choice: Choice,
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
        first = next(self.blocks())
        shares = len(first.values) / (len(first.offsets) - 1)  # vectors per frame, of the first block
        self.n_bytes = int(first.values[0].nbytes * shares * choice.kept.sum())

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


def _select(choice: Choice, spaces: Sequence[_Space], work: Path, notes: list[str]) -> Selection:
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
        choice.check_paid(picked)
        return _selection(choice, picked, None, None, pd.DataFrame(), pd.DataFrame(), notes)
    points = _points(choice, spaces, work)
    picked = choice.picks(points)
    choice.check_paid(picked)
    nested = method_of(request.method).nested
    covered = coverage(points, choice.free, choice.given, picked, rng, nested=nested)
    looked = np.sort(rng.permutation(choice.free)[:MOST])
    verdict = verdict_on(
        points.take(looked), choice.groups[looked].tolist(), np.random.default_rng(0), len(choice.free)
    )
    agreement = _agreement(choice, spaces, picked, work)
    far = scores(points, choice.given, picked)
    return _selection(choice, picked, far, verdict, covered, agreement, notes)


def _points(choice: Choice, spaces: Sequence[_Space], work: Path) -> Points:
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
            f"{request.method!r} and scaling {request.scaling!r}, more than {request.memory_gb:g} GB; "
            f"fps with scaling {' or '.join(STREAMED)} reads them from disk, or raise the limit"
        )
    several = [one.candidates() for one in spaces]
    return InMemory(several[0] if len(several) == 1 else joint(several))


def _agreement(choice: Choice, spaces: Sequence[_Space], taken: IntArray, work: Path) -> pd.DataFrame:
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
    choice: Choice,
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
        how=", ".join([choice.request.method, *(one.label for one in choice.request.specs)]),
        notes=tuple(notes),
        sources=pool.sources,
    )


@contextlib.contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """Work in a folder that stays, or in one that does not."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="crossprune-select-") as name:
            yield Path(name)
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            raise StudyError(f"{folder} cannot be made a folder to work in: {error.strerror}") from None
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
