"""The compiler of the loops over pairs and triples."""

from __future__ import annotations

from crossprune.adapters.programs.compiling import compiler

compiled = compiler("uf3")
