"""Keys of stored stages: the content of the inputs, the options, the code and the versions they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossprune.harness.contract import IntArray, Weights
from crossprune.harness.data.frames import OWN_DIGITS
from crossprune.harness.engine import transfer
from crossprune.harness.engine.grid import Choice
from crossprune.harness.evaluation import metrics, soundness
from crossprune.harness.fingerprint import canonical_hash, package_versions, seed_from, source_hash
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.selection import gathering

if TYPE_CHECKING:
    from crossprune.harness.evaluation.motion.runs import MdRun
    from crossprune.harness.evaluation.properties import PropertyOptions
    from crossprune.harness.evaluation.setting import Setting

FIT_LAYOUT = 3
"""Number of the layout of a fit's files; 1 held no predictions of frames that were fitted to, 2 apart."""


def features_key(frames_key: str, spec: AdapterSpec) -> str:
    """Key of the features of all frames of a data set, however they are split: see `frames_hash`."""
    return canonical_hash("features", frames_key, spec.features_fingerprint)


def rows_key(frames_key: str, spec: AdapterSpec) -> str:
    """Key of the design rows of all frames of a data set, however they are split."""
    return canonical_hash("rows", frames_key, spec.prepare_fingerprint)


def prepare_key(frames_key: str, spec: AdapterSpec) -> str:
    """Key of what a fitter computes once for all frames of a data set, however they are split."""
    return canonical_hash("prepare", frames_key, spec.prepare_fingerprint)


def selection_key(
    dataset_key: str, features: str | None, choice: Choice, metric: AdapterSpec | None = None
) -> str:
    """Key of a chosen subset; ``metric`` is whose fit's metric the choice is made in, if it is."""
    code = source_hash(gathering.__name__)
    versions = package_versions(["numpy", "scikit-learn"])
    seed = selection_seed(dataset_key, choice)
    own = [] if metric is None else [metric.fingerprint]
    return canonical_hash("selection", dataset_key, features, choice.how, seed, code, versions, *own)


def selection_seed(dataset_key: str, choice: Choice) -> int:
    """Seed of a selection: of data set, method and seed only, so that all choosers start alike.

    Labels of another level that stand beside the data set have no part in it.
    """
    return seed_from("selection", dataset_key[:OWN_DIGITS], choice.method, choice.seed)


def fit_key(
    dataset_key: str, prepared: str, spec: AdapterSpec, subset: IntArray, weights: Weights, seed: int | None
) -> str:
    """Key of a fit: it rests on the chosen indices, not on who chose them, and on the split they are of.

    ``subset`` are frames, shape (n,), or environments, shape (n, 2): their shapes tell them apart.
    """
    number, rest = fit_seed(dataset_key, seed), [spec.fingerprint, subset, dict(weights)]
    if spec.transfer is not None:
        rest.append(source_hash(transfer.__name__))
    return canonical_hash("fit", FIT_LAYOUT, dataset_key, prepared, *rest, number)


def fit_seed(dataset_key: str, seed: int | None) -> int:
    """Seed of a fit: of data set and seed only, so that networks of one seed start alike, whoever chose.

    Neither a renamed option nor moved code changes a fit.
    """
    return seed_from("fit", dataset_key[:OWN_DIGITS], seed)


def properties_key(fit_key: str, setting: Setting, options: PropertyOptions) -> str:
    """Key of a potential's properties; the reference values are no part of it."""
    from crossprune.harness.evaluation import properties  # no fit needs what it imports

    code, versions = source_hash(properties.__name__), package_versions(["ase", "phonopy"])
    wanted = (options.names, options.budget_evaluations)
    return canonical_hash("properties", fit_key, setting, wanted, code, versions)


def md_key(fit_key: str, run: MdRun) -> str:
    """Key of one run of molecular dynamics."""
    from crossprune.harness.evaluation.motion import stability  # no fit needs what it imports

    code, versions = source_hash(stability.__name__), package_versions(["ase"])
    return canonical_hash("md", fit_key, run, code, versions)


def cell_key(
    dataset_key: str, chooser: AdapterSpec | None, how: object, model: AdapterSpec | None, weights: Weights
) -> str:
    """Key of a cell; ``chooser`` is None where chance chooses, ``model`` where nothing is fitted."""
    of_chooser, of_model = (None if one is None else one.fingerprint for one in (chooser, model))
    code = [source_hash(module.__name__) for module in (gathering, metrics, soundness)]
    return canonical_hash("cell", dataset_key, of_chooser, how, of_model, dict(weights), code)
