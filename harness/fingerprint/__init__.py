"""Hashes that say when a stored result may be reused: of values, of source code, of package versions."""

from crossprune.harness.fingerprint.source import defining_module, source_hash
from crossprune.harness.fingerprint.values import canonical_hash, seed_from
from crossprune.harness.fingerprint.versions import package_versions

__all__ = ["canonical_hash", "defining_module", "package_versions", "seed_from", "source_hash"]
