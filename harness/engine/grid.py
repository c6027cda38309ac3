"""Expand a study to its cells, purely."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crossprune.harness.contract.environments import MASKS
from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.selection.axes import POOLINGS, SPACES, scaling_of
from crossprune.harness.selection.methods import BUDGETS, GIVEN_MARK, METHODS, RANDOM, method_of

if TYPE_CHECKING:  # a worker knows cells, and no studies
    from crossprune.harness.data.partition import PoolId
    from crossprune.harness.engine.study import Study


OWN, KIN, OTHER = "own", "kin", "other"
"""Whose descriptor chose: the model's own, one of its family with other options, or another family's."""


@dataclass(frozen=True, order=True)
class Choice:
    """How a subset of a data set's training part is chosen."""

    dataset: str
    pool: int = field(default=0, kw_only=True)
    """Number of the split into train and test; 0 is the data set's own."""
    held_out: str = field(default="", kw_only=True)
    """The group that a pool of ``ood = "each"`` holds out; empty for all other pools."""
    chooser: str
    method: str
    fraction: float
    seed: int
    scaling: str = "standard"
    """A scaling, see `scaling_of`; empty for a method that looks at no features."""
    pooling: str = "mean"
    """A key of `POOLINGS`; empty for a method that does not pool atoms."""
    budget: str = "configurations"
    """What the fraction is a fraction of."""
    space: str = field(default="atoms", kw_only=True)
    """One of `SPACES`; empty for a method that looks at no features."""
    mask: str = field(default="none", kw_only=True)
    """One of `MASKS`: whether whole configurations are chosen, or single environments."""
    given: str = field(default="", kw_only=True)
    """Patterns of groups that are labelled already, `GIVEN_MARK` between them; empty for none."""

    @property
    def how(self) -> Choice:
        """The choice without data set, pool and chooser: keys rest on their content instead."""
        return replace(self, dataset="", pool=0, held_out="", chooser="")


@dataclass(frozen=True, order=True)
class Cell:
    """One retrained model: a choice of data and the model fitted to it."""

    choice: Choice
    model: str
    """Empty in a study that only chooses."""


def expand(study: Study, pools: Mapping[str, Sequence[PoolId]] | None = None) -> tuple[Cell, ...]:
    """List the cells of a study in a fixed order that does not depend on the order of its lists.

    Parameters
    ----------
    study
        Its axes.
    pools
        Those of each data set; by default as many as the study asks for, and no group held out.

    Raises
    ------
    StudyError
        If a selection method, mask, space, scaling, pooling or budget is unknown, or no mask can be chosen.
    """
    require_known(study)
    plain = [(pool, "") for pool in range(study.pools)]
    pools = dict.fromkeys(study.labels, plain) if pools is None else pools
    splits = [(dataset, *one) for dataset, several in pools.items() for one in several]
    cells = (
        Cell(
            replace(
                how,
                dataset=dataset,
                pool=pool,
                held_out=held_out,
                fraction=fraction,
                seed=seed,
                budget=study.budget,
                given=GIVEN_MARK.join(study.given),
            ),
            model,
        )
        for (dataset, pool, held_out), how, fraction, seed, model in itertools.product(
            splits, _ways(study), study.fractions, study.seeds, study.models or ("",)
        )
    )
    return tuple(sorted(set(cells)))


def require_known(study: Study) -> None:
    """Raise `StudyError` if a selection method or another axis has an unknown value, or masks are in vain."""
    for space in study.spaces:
        _require("space", space, SPACES)
    try:
        for method in study.methods:
            method_of(method)
        for scaling in study.scalings:
            scaling_of(scaling)
    except ValueError as error:
        raise StudyError(str(error)) from None
    for pooling in study.poolings:
        _require("pooling", pooling, POOLINGS)
    _require("budget", study.budget, BUDGETS)
    for mask in study.masks:
        _require("mask", mask, MASKS)
    if "atoms" in study.masks:
        _require_maskable(study)
    if study.given and (unable := [name for name in study.methods if not method_of(name).conditional]):
        able = ", ".join(name for name, one in METHODS.items() if one.conditional)
        raise StudyError(f"given: method {unable[0]!r} cannot complete a given set; these can: {able}")


def _require_maskable(study: Study) -> None:
    """Raise `StudyError` if a study asks for masks of atoms and leaves nothing to choose them by."""
    if study.budget != "labels":
        raise StudyError(
            f"masks has 'atoms', and budget is {study.budget!r}: an atom is no fraction of that; "
            "give budget = 'labels'"
        )
    able = [name for name, one in METHODS.items() if one.masks and one.described]
    if study.choosers and not any(method_of(name).masks for name in study.methods):
        raise StudyError(
            f"masks has 'atoms', and no method chooses single atoms; add one of {', '.join(able)}"
        )
    if study.choosers and "atoms" not in study.spaces:
        raise StudyError("masks has 'atoms', which need the space of atoms; add 'atoms' to spaces")


def _require(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in (allowed := tuple(known)):
        raise StudyError(unknown_name(kind, name, allowed))


def _ways(study: Study) -> Iterator[Choice]:
    """Give choosers, methods and latent spaces, without the axes that play no part.

    A method that looks at no features comes once, under ``random``; that base line is always there. Single
    atoms are chosen by methods that can, in the space of atoms.
    """
    undescribed = Choice("", RANDOM, RANDOM, 1.0, 0, "", "", space="")
    axes = (study.choosers, study.methods, study.spaces, study.scalings, study.poolings, study.masks)
    for chooser, method, space, scaling, pooling, mask in itertools.product(*axes):
        known = method_of(method)
        if chooser != RANDOM and known.described and (mask == "none" or (known.masks and space == "atoms")):
            pooled = pooling if known.pooled else ""
            yield Choice("", chooser, method, 1.0, 0, scaling, pooled, space=space, mask=mask)
    for method, mask in itertools.product((RANDOM, *study.methods), study.masks):
        if not method_of(method).described and (mask == "none" or method_of(method).masks):
            yield replace(undescribed, method=method, mask=mask)
