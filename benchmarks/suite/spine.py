"""Time, memory and accuracy of every family on the embedded data; sizes ``fast`` and ``standard``."""

from __future__ import annotations

import numpy as np
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.errors import MissingPackage
from crossprune.harness.evaluation.metrics import errors_by_group, labels_of
from crossprune.harness.lookup import adapter_class, families
from crossprune.harness.tables import from_table

SIZES = {"fast": DataOptions(smoke=True), "standard": DataOptions()}
FAMILIES = sorted(set(families()) - {"broken"})


class Family:
    """Every adapter with its smoke options, on the embedded silicon data."""

    params = (FAMILIES, list(SIZES))
    param_names = ("adapter", "size")
    timeout = 600

    def setup(self, name: str, size: str) -> None:
        """Load, construct, prepare and fit, so that each benchmark times one thing."""
        try:
            cls = adapter_class(name)
            self.adapter = cls(["Si"], from_table(cls.options_type, cls.smoke, name))
        except MissingPackage as error:
            raise NotImplementedError from error
        self.dataset = load_dataset("si-pbe", options=SIZES[size])
        self.train, self.test = self.dataset.indices("train"), self.dataset.indices("test")
        self.prepared = self.adapter.prepare(self.dataset.frames)
        self.potential = self._fit()

    def _fit(self):
        return self.adapter.fit(self.prepared, self.train, weights={}, rng=np.random.default_rng(0))

    def time_features(self, name: str, size: str) -> None:
        """Describe ten frames."""
        self.adapter.features_many(self.dataset.frames[:10])

    def time_prepare(self, name: str, size: str) -> None:
        """Prepare ten frames."""
        self.adapter.prepare(self.dataset.frames[:10])

    def time_refit(self, name: str, size: str) -> None:
        """Fit to the training part."""
        self._fit()

    def time_predict(self, name: str, size: str) -> None:
        """Predict one frame."""
        self.potential.predict(self.dataset.frames[0])

    def peakmem_refit(self, name: str, size: str) -> None:
        """Fit to the training part."""
        self._fit()

    def track_force_mae(self, name: str, size: str) -> float:
        """Test error of the forces."""
        return self._errors()["force_mae_ev_per_angstrom"]

    track_force_mae.unit = "eV/Å"

    def track_energy_mae(self, name: str, size: str) -> float:
        """Test error of the energies."""
        return self._errors()["energy_mae_mev_per_atom"]

    track_energy_mae.unit = "meV/atom"

    def _errors(self) -> dict[str, float]:
        frames = [self.dataset.frames[index] for index in self.test]
        predicted = self.adapter.predict(self.potential, self.prepared, self.test)
        sizes = np.array([len(atoms) for atoms in frames])
        groups = ["all"] * len(frames)
        return errors_by_group(predicted, labels_of(frames), sizes, groups, np.arange(len(frames)))[0]
