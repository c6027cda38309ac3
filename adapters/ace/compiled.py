"""The compiler of the ACE kernels.

Products are not fused with sums: which ones are would depend on whether a kernel is compiled now or read
from the cache, and with it the last bits of a fit. Rows take as long either way.
"""

from __future__ import annotations

from crossprune.adapters.programs.compiling import compiler

compiled = compiler("ace")
