"""The compiler of the loops over clusters."""

from __future__ import annotations

from crossprune.adapters.programs.compiling import compiler

compiled = compiler("chimes")
