"""The inner loops of predictions in C: tree ensembles, networks, operator features and sums, as built libraries.

Each is called through ctypes, which releases the interpreter's lock, and each has a twin in numpy that gives the same
results. `library` finds the one for this platform; `programs` turns formulas over dims into what the kernel runs.
"""

from __future__ import annotations

from hetbench.kernel.library import SWITCH, describe, library

__all__ = ["SWITCH", "describe", "library"]
