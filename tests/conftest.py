"""What tests ask for that may be absent: optional packages, published data and a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import pytest

DATA_VARIABLE = "CROSSPRUNE_DATA"
BROWSER = "browser"
"""What tests of the report's page need, under this name in ``--require``."""
APART = (BROWSER, "universal")
"""What ``--require all`` does not ask for: no package of pip's, or gigabytes, for ``tox -e universal``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        metavar="NAME",
        help="adapter whose packages must be installed, or 'browser' for Chromium: missing is a failure "
        "instead of a skip; 'all' for all adapters of the extra [all]; may be repeated",
    )
    parser.addoption(
        "--kills",
        type=int,
        default=0,
        metavar="N",
        help="how many runs tests/harness/engine/test_kills.py disturbs; default: a few",
    )
    parser.addoption(
        "--studies",
        type=int,
        default=2000,
        metavar="N",
        help="how many studies of each kind tests/harness/analysis/test_simulation.py simulates with -m long",
    )
    parser.addoption("--kills-seed", type=int, default=0, metavar="N", help="draws the moments of --kills")


def pytest_configure(config: pytest.Config) -> None:
    if names := config.getoption("--require"):
        from crossprune.harness.errors import unknown_name

        known = {"all", BROWSER, *known_adapters()}
        for name in names:
            if name not in known:
                raise pytest.UsageError(f"--require: {unknown_name('adapter', name, known)}")


@pytest.fixture(scope="session")
def absent(request: pytest.FixtureRequest) -> Callable[[str, str], NoReturn]:
    """Return ``absent(name, message)``: fail if ``name`` is required, skip if not."""
    required = request.config.getoption("--require")

    def absent(name: str, message: str) -> NoReturn:
        if name in required or ("all" in required and name not in APART):
            pytest.fail(f"required: {message}", pytrace=False)
        pytest.skip(message)

    return absent


@pytest.fixture(scope="session")
def require_adapter(absent: Callable[[str, str], NoReturn]) -> Callable[[str], None]:
    """Return ``require(name)``: skip if a package of adapter ``name`` is missing, fail if it is required."""

    def require(name: str) -> None:
        if name not in known_adapters():
            raise ValueError(f"{name!r} is no family of crossprune.adapters and nothing that one reads")
        missing = missing_packages(name)
        if not missing:
            return
        absent(name, f"{name!r} needs {', '.join(missing)}, which is not installed")

    return require


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """Return ``folder(name)``: the published data ``name``, found through CROSSPRUNE_DATA, or skip."""

    def folder(name: str) -> Path:
        roots = [Path(root) for root in os.environ.get(DATA_VARIABLE, "").split(os.pathsep) if root]
        for root in roots:
            if (root / name).is_dir():
                return root / name
        searched = os.pathsep.join(map(str, roots)) or "not set"
        pytest.skip(f"published data {name!r} is absent ({DATA_VARIABLE}: {searched})")

    return folder


def known_adapters() -> Iterable[str]:
    """Return the names of the families inside, and of what they read; not those of installed plug-ins."""
    from crossprune.adapters import FAMILIES

    return {name for family in FAMILIES for name in (family.name, *family.readers)}


def missing_packages(name: str) -> tuple[str, ...]:
    """Return the packages that adapter or reader ``name`` needs and that are not installed."""
    from crossprune.adapters import FAMILIES
    from crossprune.harness import lookup

    (family,) = [one for one in FAMILIES if name == one.name] or [
        one for one in FAMILIES if name in one.readers
    ]
    return lookup.missing_packages(family.name)
