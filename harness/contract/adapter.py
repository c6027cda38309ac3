"""A model family: descriptor and fitter, for given elements and options."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from ase import Atoms
from crossprune.harness.contract.arrays import FloatArray, IntArray
from crossprune.harness.contract.claims import Capabilities, Weights
from crossprune.harness.contract.potential import Potential
from crossprune.harness.contract.prediction import Predictions
from crossprune.harness.errors import StudyError
from numpy.typing import NDArray

Options = TypeVar("Options")
ENERGY_ROW, FORCE_ROW = -1, -2
"""Kinds of design rows, where atoms have their element's place, see `Adapter.metric`."""


@dataclass(frozen=True)
class Prepared:
    """Everything a fitter computes once per data set, whatever subset is chosen later.

    Parameters
    ----------
    frames
        The structures that were prepared, in order; ``subset`` in `Fitter.fit` indexes them.
    arrays
        Arrays that do not depend on the subset, nor on labels. The harness stores and memory-maps them.
    source
        Indices of the frames with labels of another level of theory, which fits that carry something over
        may see, shape (n_source,).
    """

    frames: Sequence[Atoms]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    source: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class Adapter(ABC, Generic[Options]):
    """One model family for a fixed set of elements and options.

    Parameters
    ----------
    elements
        Chemical symbols the adapter must handle; kept sorted.
    options
        The adapter's frozen options; its defaults if not given.
    isolated_atom_energies
        Energy of each isolated atom (eV) if the data set's card has them; otherwise per-element
        offsets are regressed on the chosen subset.

    Raises
    ------
    StudyError
        For several elements if the adapter handles one only, or if an option is NaN or infinite.
    """

    name: ClassVar[str]
    """The name in the adapter table."""
    capabilities: ClassVar[Capabilities] = Capabilities()
    options_type: ClassVar[type[Any]]
    """Frozen dataclass of options, one docstring line per field."""
    distributions: ClassVar[tuple[str, ...]] = ("numpy", "scipy")
    """Installed packages whose versions the results depend on."""
    smoke: ClassVar[Mapping[str, Any]] = {}
    """Options with which the adapter fits a handful of small frames within seconds."""
    fit_options: ClassVar[frozenset[str]] = frozenset()
    """Options that only ``fit`` reads: features and what was prepared stay valid when they change."""
    prepare_options: ClassVar[frozenset[str]] = frozenset()
    """What of `rests_on` only ``prepare`` and ``fit`` read: features stay valid when it changes."""

    def __init__(
        self,
        elements: Sequence[str],
        options: Options | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        self.elements = tuple(sorted(elements))
        if len(self.elements) > 1 and not self.capabilities.multi_element:
            raise StudyError(f"adapter {self.name!r} handles one element, got {', '.join(self.elements)}")
        self.options: Options = self.options_type() if options is None else options
        _require_finite(self.options, f"adapter {self.name!r}")
        self.isolated_atom_energies = None if isolated_atom_energies is None else dict(isolated_atom_energies)

    def design_rows(self, atoms: Atoms) -> FloatArray:
        """Return what least squares sees of one structure, for models that are linear in coefficients.

        Returns
        -------
        FloatArray
            Shape (1 + 3·n_atoms, n_coefficients): derivatives of the energy per atom (eV), then of the
            force components (eV/Å), atom by atom x y z, with respect to the coefficients.

        Raises
        ------
        StudyError
            If the family has none; it does not claim `Capabilities.rows` then.
        """
        raise StudyError(f"adapter {self.name!r} has no design rows: it is not linear in its coefficients")

    def metric(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Map what describes structures to points whose distances are those that the fit sees.

        Of a linear model or a Gaussian process: squared distances are ∝ the prior variance of the difference
        of two predictions; of a network: distances of its inputs.

        Parameters
        ----------
        vectors
            Features of atoms, or design rows if the family has them, shape (n, k). All that can be chosen,
            and nothing else: scales may be taken from them.
        kinds
            Of each vector, shape (n,): the atom's element, as a place in ``elements``, or `ENERGY_ROW` or
            `FORCE_ROW`.

        Returns
        -------
        FloatArray
            Shape (n, m), any unit.

        Raises
        ------
        StudyError
            If the family knows none; it does not claim `Capabilities.metric` then.
        """
        raise StudyError(f"adapter {self.name!r} knows no metric of a fit; take another scaling than 'model'")

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Return the options that follow from how densely atoms lie, such as cutoffs; none by default.

        The harness takes them wherever a study names no value, one for a data set and all its pools.

        Parameters
        ----------
        spacing
            Cube root of the volume per atom of the data set's structures, Å; their labels have no part in it.
        """
        return {}

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Return the points that ``crossprune tune`` tries, each a table of options; none by default.

        A small space: a point costs a fit per fold, and one that changes more than `fit_options` a
        `Fitter.prepare` as well. What a point does not name is as `geometry` and the defaults say.
        """
        return ()

    @classmethod
    def tuned_inside(cls, options: Any) -> Any:
        """Return the options with which ``fit`` re-estimates its regularisation on each chosen subset.

        Raises
        ------
        StudyError
            If the family cannot, with the reason.
        """
        raise StudyError(f"adapter {cls.name!r} has no regularisation that a fit can re-estimate")

    @classmethod
    def rests_on(cls, options: Any) -> dict[str, Any]:
        """Return what results rest on of the options, for keys; override where one is only a name.

        As where an option names a file, of which the content counts, or says where to compute.
        """
        return dataclasses.asdict(options)

    @classmethod
    def lineage(cls, options: Any) -> str:
        """Name what makes two descriptors kin; adapters of one family by default.

        Override where options choose between descriptors that have nothing in common.
        """
        return cls.name

    @classmethod
    def versions(cls, options: Any) -> Mapping[str, str] | None:
        """Return the packages that results rest on, with versions; None: `distributions`, as installed here.

        Override where another environment computes, or options decide which packages do; what is missing is
        then this method's to say, and what the family requires is not looked at.

        Raises
        ------
        MissingPackage
            If one is not there.
        """
        return None

    @classmethod
    def is_seeded(cls, options: Any) -> bool:
        """Say whether, with these options, the generator given to ``fit`` changes the parameters.

        Override where it depends on them, as where one fitter of several draws random numbers.
        """
        return cls.capabilities.seeded


def _require_finite(value: Any, where: str) -> None:
    """Refuse NaN and infinity in options made in Python; those of a study are checked when it is read."""
    if isinstance(value, float) and not math.isfinite(value):
        raise StudyError(f"{where}: expected a finite number, got {value}")
    if dataclasses.is_dataclass(value):
        value = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    for name, one in value.items() if isinstance(value, Mapping) else ():
        _require_finite(one, f"{where}: {name}")
    for one in value if isinstance(value, (list, tuple)) else ():
        _require_finite(one, where)


class Descriptor(Adapter[Options]):
    """Turns structures into features, so that it can choose data."""

    level: ClassVar[Literal["atoms", "structure"]] = "atoms"
    """What one vector of features describes: an atom's environment, or a whole structure."""

    @abstractmethod
    def features(self, atoms: Atoms) -> FloatArray:
        """Describe each atom's environment, or the structure: see ``level``.

        Invariant to translation, rotation and permutation of like atoms; constant length for given
        elements and options. A supercell repeats the vectors of its atoms; the one vector of a structure is
        intensive: a supercell has the same.

        Returns
        -------
        FloatArray
            Shape (n_atoms, n_features), or (1, n_features) at the level of structures; any unit.
        """

    def features_many(self, frames: Sequence[Atoms]) -> FloatArray:
        """Describe several structures, concatenated: shape (Σ n_vectors, n_features)."""
        return np.concatenate([self.features(atoms) for atoms in frames])

    @classmethod
    def n_vectors(cls, atoms: Atoms) -> int:
        """Return how many vectors `features` has for a structure."""
        return len(atoms) if cls.level == "atoms" else 1


class Fitter(Adapter[Options]):
    """Fits a potential to any subset of a prepared data set."""

    potential_type: ClassVar[type[Potential]]
    """The class that loads what the fit saved."""

    @abstractmethod
    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute everything that does not depend on which configurations are chosen.

        No number may depend on labels, on energies of isolated atoms, or on the set as a whole: a frame's
        blocks are the same whatever stands beside it, and however it is labelled.

        Parameters
        ----------
        frames
            Structures with labels in a ``SinglePointCalculator``.
        workspace
            Empty folder for arrays too large for memory, see `allocate`; None keeps all in memory.
        """

    @abstractmethod
    def fit(
        self,
        prepared: Prepared,
        subset: IntArray,
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> Potential:
        """Fit to the frames ``subset`` of ``prepared``, seeing nothing of the others.

        Parameters
        ----------
        prepared
            What `prepare` returned.
        subset
            Indices into ``prepared.frames``, shape (n_chosen,).
        weights
            Relative weights per group.
        rng
            The only source of randomness.

        Raises
        ------
        TooFewFrames
            If the model cannot be fitted to so few configurations.
        """

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> Potential:
        """Fit to the forces of some atoms of the frames ``subset``, and to the energies of these frames.

        Forces of other atoms, and stresses, are as good as not known: no number of the fit depends on them,
        nor on what they count. Where the atoms are, everything may be seen.

        Parameters
        ----------
        prepared, subset, weights, rng
            As for `fit`; ``subset`` is distinct.
        kept
            Of each frame of ``subset`` the atoms whose forces are fitted, distinct, shape (n_kept,).

        Raises
        ------
        StudyError
            If the family cannot; it does not claim `Capabilities.masks`, or `can_mask` says so.
        TooFewFrames
            If the model cannot be fitted to so little.
        """
        raise StudyError(f"adapter {self.name!r} cannot be fitted to the forces of some atoms only")

    @classmethod
    def can_mask(cls, options: Any) -> bool:
        """Say whether `fit_masked` works with these options; override where it depends on them."""
        return cls.capabilities.masks

    def fit_from(
        self,
        prepared: Prepared,
        subset: IntArray,
        earlier: Potential,
        *,
        tuned: bool,
        weights: Weights,
        rng: np.random.Generator,
    ) -> Potential:
        """Fit to the frames ``subset``, held to an earlier potential of this adapter where they say nothing.

        Parameters
        ----------
        prepared, subset, weights, rng
            As for `fit`.
        earlier
            What `fit` of an adapter of these elements and options returned.
        tuned
            Whether the labels of ``subset`` say how strongly, instead of the options.

        Raises
        ------
        StudyError
            If the family cannot; it does not claim `Capabilities.prior`, or `can_start` says so.
        TooFewFrames
            As for `fit`.
        """
        raise StudyError(f"adapter {self.name!r} cannot be fitted towards an earlier potential")

    @classmethod
    def can_start(cls, options: Any) -> bool:
        """Say whether `fit_from` works with these options; override where it depends on them."""
        return cls.capabilities.prior

    def group_weights(self, prepared: Prepared, subset: IntArray, folds: IntArray) -> Weights:
        """Choose weights per group by cross-validation on the frames ``subset``.

        Parameters
        ----------
        prepared, subset
            As for `fit`.
        folds
            Fold of each frame of ``subset``, shape (n_chosen,).

        Raises
        ------
        StudyError
            If the family cannot without a fit for each trial: it is not linear in its coefficients.
        """
        raise StudyError(
            f"adapter {self.name!r} is not linear, so its group weights cost a fit for each trial"
        )

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames; override where the prepared blocks make it cheap."""
        return potential.predict_many([prepared.frames[index] for index in indices])
