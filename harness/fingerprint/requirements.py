"""What is not installed of a requirement with its extras, or is too old."""

from __future__ import annotations

import functools
from collections.abc import Collection
from importlib import metadata

from crossprune.harness.errors import StudyError
from crossprune.harness.fingerprint.versions import package_versions
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


@functools.cache
def unmet(requirement: str) -> tuple[str, ...]:
    """Return what is not there of a requirement such as ``crossprune[ace]``: itself and what it asks for."""
    wanted = Requirement(requirement)
    if not (found := _unmet(wanted)):
        installed = metadata.distribution(wanted.name)
        known = {canonicalize_name(one) for one in installed.metadata.get_all("Provides-Extra") or []}
        if unknown := sorted({canonicalize_name(one) for one in wanted.extras} - known):
            raise StudyError(
                f"{wanted.name} {installed.version}, as it is installed, has no extra {', '.join(unknown)}; "
                f"it has: {', '.join(sorted(known)) or 'none'}; install again if that has changed"
            )
        always = [one for one in _requires(wanted.name) if _applies(one, {""})]
        found = [text for one in always for text in _unmet(one)] + _unmet_extras(wanted)
    return tuple(dict.fromkeys(found))


def _unmet(wanted: Requirement) -> list[str]:
    """Say that a distribution is not installed, or not in a version that will do; empty if it is."""
    version = package_versions([wanted.name])[wanted.name]
    if version == "absent":
        return [wanted.name]
    if not wanted.specifier.contains(version, prereleases=True):
        return [f"{wanted.name}{wanted.specifier} (installed: {version})"]
    return []


def _unmet_extras(wanted: Requirement) -> list[str]:
    """List what is not met of the extras of an installed distribution, and of the extras that these name."""
    found = []
    for one in _requires(wanted.name):
        if not _applies(one, {""}) and _applies(one, wanted.extras):
            found += _unmet(one) or (_unmet_extras(one) if one.extras else [])
    return found


def _requires(distribution: str) -> list[Requirement]:
    try:
        return [Requirement(one) for one in metadata.requires(distribution) or []]
    except InvalidRequirement as error:
        raise StudyError(f"the metadata of {distribution} cannot be read: {error}") from None


def _applies(requirement: Requirement, extras: Collection[str]) -> bool:
    """Tell whether a requirement counts on this machine when ``extras`` are asked for."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
