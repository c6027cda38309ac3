"""All checks of the contract, and how they are run."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from crossprune.harness.checks.features import (
    features_are_invariant,
    features_have_constant_length,
    features_ignore_the_choice_of_cell,
    features_of_a_batch_equal_single_ones,
    features_tell_apart_what_the_model_does,
)
from crossprune.harness.checks.fits import (
    alloys_work,
    export_writes_native_files,
    few_frames_fit_or_say_so,
    fit_sees_only_the_subset,
    inputs_stay_untouched,
    missing_labels_are_refused,
    prepared_predictions_agree,
    refit_forgets_earlier_data,
    saved_potential_predicts_the_same,
    seeds_decide,
    subset_refit_is_exact,
    wrong_elements_are_refused,
)
from crossprune.harness.checks.learning import alloys_are_learned, stress_labels_are_learned
from crossprune.harness.checks.masks import (
    a_mask_hides_forces_and_stress,
    a_mask_of_nothing_is_none,
    masked_refit_is_exact,
)
from crossprune.harness.checks.metric import metric_gives_distances
from crossprune.harness.checks.motion import own_dynamics_follow_the_thermostat
from crossprune.harness.checks.predictions import (
    energies_are_extensive,
    energy_is_continuous,
    forces_are_minus_the_gradient,
    isolated_atom_has_no_force,
    predictions_turn_with_the_structure,
    stress_is_the_strain_derivative,
)
from crossprune.harness.checks.priors import (
    a_fit_from_an_earlier_one_sees_only_the_subset,
    an_earlier_potential_gives_way,
    an_earlier_potential_is_kept,
)
from crossprune.harness.checks.rows import rows_are_derivatives_of_one_energy, rows_turn_with_the_structure
from crossprune.harness.checks.subject import (
    NotClaimed,
    Subject,
)
from crossprune.harness.contract import (
    Adapter,
)
from crossprune.harness.errors import MissingPackage


@dataclass(frozen=True)
class CheckResult:
    """How one check ended."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""


DESCRIPTOR_CHECKS: tuple[Callable[[Subject], None], ...] = (
    features_have_constant_length,
    features_are_invariant,
    features_ignore_the_choice_of_cell,
    features_of_a_batch_equal_single_ones,
    features_tell_apart_what_the_model_does,
    rows_are_derivatives_of_one_energy,
    rows_turn_with_the_structure,
    metric_gives_distances,
)
FITTER_CHECKS: tuple[Callable[[Subject], None], ...] = (
    forces_are_minus_the_gradient,
    stress_is_the_strain_derivative,
    energies_are_extensive,
    predictions_turn_with_the_structure,
    energy_is_continuous,
    isolated_atom_has_no_force,
    own_dynamics_follow_the_thermostat,
    refit_forgets_earlier_data,
    fit_sees_only_the_subset,
    subset_refit_is_exact,
    masked_refit_is_exact,
    a_mask_hides_forces_and_stress,
    a_mask_of_nothing_is_none,
    an_earlier_potential_is_kept,
    an_earlier_potential_gives_way,
    a_fit_from_an_earlier_one_sees_only_the_subset,
    seeds_decide,
    prepared_predictions_agree,
    saved_potential_predicts_the_same,
    export_writes_native_files,
    few_frames_fit_or_say_so,
    missing_labels_are_refused,
    stress_labels_are_learned,
    alloys_are_learned,
)
CHECKS = (*DESCRIPTOR_CHECKS, *FITTER_CHECKS, inputs_stay_untouched, wrong_elements_are_refused, alloys_work)
"""All checks of the contract, in the order in which they are run."""


def run_check(check: Callable[[Subject], None], subject: Subject) -> CheckResult:
    """Run one check; a missing package is not a failure of the adapter and is raised."""
    try:
        check(subject)
    except NotClaimed as reason:
        return CheckResult(check.__name__, "skipped", str(reason))
    except MissingPackage:
        raise
    except AssertionError as error:
        return CheckResult(check.__name__, "failed", str(error))
    except Exception:
        return CheckResult(check.__name__, "failed", traceback.format_exc())
    return CheckResult(check.__name__, "passed")


def run_checks(cls: type[Adapter[Any]]) -> list[CheckResult]:
    """Run all checks on an adapter; raise `MissingPackage` if a package of its is missing."""
    subject = Subject(cls)
    return [run_check(check, subject) for check in CHECKS]
