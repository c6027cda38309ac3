"""The contract as plain functions: what every adapter must pass, built in or from outside."""

from crossprune.harness.checks.run import CHECKS, CheckResult, run_check, run_checks
from crossprune.harness.checks.subject import NotClaimed, Subject

__all__ = ["CHECKS", "CheckResult", "NotClaimed", "Subject", "run_check", "run_checks"]
