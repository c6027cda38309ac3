"""What the words in the headings of tables mean: the page's glossary and its tooltips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Word(NamedTuple):
    """A word of the page and what it means."""

    name: str
    meaning: str


WORDS: Mapping[str, Word] = {
    "own": Word(
        "own",
        "The data were chosen by the model's own descriptor with the same options. The same family with "
        "other options is kin and counts on neither side.",
    ),
    "other": Word("other", "The data were chosen by the descriptor of another family than the model's."),
    "random": Word("random", "The base line: as much data, drawn at random from the same pool."),
    "comparison": Word(
        "whose data",
        "Own: chosen by the model's own descriptor. Other: by another model's. Random: as much, drawn at "
        "random. The first is divided by the second.",
    ),
    "ratio": Word(
        "ratio",
        "Value of the first over that of the second, a geometric mean over pairs. Of errors, below 1 favours "
        "the first; of survival times and temperatures, above 1.",
    ),
    "interval": Word(
        "95 % interval",
        "Where the number would lie with other repeats of the same kind. If that of a ratio contains 1, no "
        "difference was found, which is not the same as no difference. Except for the primary comparison, "
        "intervals of comparisons hold for all rows of their table together.",
    ),
    "p": Word(
        "p",
        "Chance of a ratio at least so far from 1 if there were no difference; below 0.05 where the interval "
        "excludes 1, and only there.",
    ),
    "verdict": Word(
        "verdict", "What the interval allows to say: lower or higher if it excludes 1, none found if not."
    ),
    "pairs": Word(
        "pairs",
        "Cells that were compared: two of the same data set, fraction, method, seed and model that differ in "
        "who chose the data.",
    ),
    "seeds": Word(
        "seeds",
        "Independent repeats: pairs of data set and seed. The interval rests on them and on the test "
        "configurations, not on the number of pairs.",
    ),
    "lost": Word("lost", "Pairs of which a cell has no value: it failed or was not finished."),
    "labels": Word(
        "label ratio",
        "How many times as many labels (energies, force and stress components) the first side had. Equal "
        "numbers of configurations can be unequal numbers of labels.",
    ),
    "counted": Word("labels", "Energies, force components and stress components of the chosen."),
    "data": Word(
        "data ratio",
        "How many times as much data random needs for an equal error: above 1, data are saved.",
    ),
    "fraction": Word("fraction", "Share of the training pool that is kept; 1 is the full set."),
    "enough": Word(
        "fraction that is enough", "The smallest one whose error is at most 5 % above that of the full set."
    ),
    "keep": Word(
        "keep",
        "Share of the pool, taken by farthest points, that leaves nothing farther from it than unrelated "
        "configurations keep from each other.",
    ),
    "pool": Word(
        "pool", "The training configurations that are chosen from; several pools are several draws of it."
    ),
    "ood": Word(
        "ood",
        "Out of distribution: groups of configurations that were held out of training, so that a model has "
        "seen nothing of their kind. The test set is of the same kinds as the pool.",
    ),
    "part": Word("part", "What errors are of: the test set, or held-out groups (ood)."),
    "group": Word("group", "Configurations of one kind or origin, as the data set names them."),
    "dataset": Word("data set", "Where configurations and labels come from; its card has the citation."),
    "chooser": Word("chooser", "Whose descriptor chose the training data; random is the base line."),
    "method": Word("method", "How data are chosen in the space of a descriptor, as farthest points (fps)."),
    "way": Word("way of choosing", "Chooser and method together."),
    "model": Word("model", "The family that was fitted to the chosen data."),
    "seed": Word("seed", "Number that random draws start from, the same in all cells: they are pairs."),
    "outcome": Word("outcome", "What is compared: an error, properties, or how dynamics go."),
    "better": Word("better", "The direction that is an advantage: lower errors, higher survival."),
    "power": Word("power", "Chance of this study to find a difference of the stated size."),
    "effect": Word("effect", "Ratio that a study is to find: 0.95 is 5 % lower errors."),
    "rank": Word("rank", "Average place over data sets; 1 is the lowest error."),
    "critical": Word("critical difference", "Two ways differ if their ranks do by more (Nemenyi, 95 %)."),
    "correlation": Word("correlation", "Of ranks (Spearman): 1 is the same order, below 0 a trade-off."),
    "overlap": Word("overlap", "Shared configurations over all of two sets (Jaccard): 1 for the same set."),
    "twins": Word("twins", "Tested configurations that this space cannot tell from one in training."),
    "copies": Word("copies", "Tested configurations that a symmetry turns into one in training."),
    "redundancy": Word(
        "redundancy", "How much less various the pool is than one without structure; 0: no less (1 at most)."
    ),
    "survive": Word("survive", "Share of the runs that met no criterion of failure over their full length."),
    "status": Word("status", "done, or why a cell has no result: failed, skipped, exploded, timed out."),
    "memory": Word("peak memory", "The most memory that the process of a fit held."),
}  # fmt: skip
"""Words by the key that headings name."""

COLUMNS = {
    "comparison": "comparison", "whose data": "comparison",
    "chooser": "chooser", "chooser, all models": "chooser", "method": "method", "way": "way",
    "model": "model",
    "dataset": "dataset", "source": "dataset", "data sets": "dataset", "seed": "seed",
    "ratio": "ratio", "low": "interval", "high": "interval", "95 % interval": "interval",
    "p": "p", "p smallest": "p", "verdict": "verdict",
    "pairs": "pairs", "n pairs": "pairs", "seeds": "seeds", "n units": "seeds", "n seeds": "seeds",
    "lost": "lost", "n missing": "lost", "label ratio": "labels", "n labels": "counted",
    "data ratio": "data", "data ratio low": "data", "data ratio high": "data",
    "fraction": "fraction", "efficiency: fraction": "enough", "keep": "keep",
    "pool": "pool", "pools": "pool", "share in pool": "pool",
    "split": "part", "part": "part", "group": "group", "n groups": "group",
    "outcome": "outcome", "metric": "outcome", "first": "outcome", "second": "outcome", "better": "better",
    "power": "power", "effect": "effect", "rank": "rank", "critical difference": "critical",
    "correlation": "correlation", "overlap": "overlap", "twins": "twins", "copies": "copies",
    "redundancy": "redundancy", "survive": "survive", "status": "status", "peak memory max mb": "memory",
    "own": "own", "other": "other", "random": "random", "ood": "ood",
}  # fmt: skip
"""Key of the word by the column's name as people read it, with the table's before it where it matters."""


def heading(column: object) -> str:
    """Return a column's name as people read it."""
    return str(column).replace("_", " ")


def word_of(column: object, table: str = "") -> str:
    """Return the key of the word that a column's heading needs; empty if it speaks for itself.

    Examples
    --------
    >>> word_of("n_units"), word_of("fraction"), word_of("fraction", "efficiency"), word_of("remark")
    ('seeds', 'fraction', 'enough', '')
    """
    name = heading(column).lower()
    return COLUMNS.get(f"{table}: {name}", COLUMNS.get(name, ""))
