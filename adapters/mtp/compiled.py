"""The compiler of the loops over neighbours and moments."""

from __future__ import annotations

from crossprune.adapters.programs.compiling import compiler

compiled = compiler("mtp")
