"""The shell: every command of `hetbench`, its options, its printed form and its exit codes.

Exit codes: 0 answered, 2 wrong usage or an unknown name, 3 refused for lack of evidence, 4 an artefact is missing or
damaged.
"""

from hetbench.cli.app import main

__all__ = ["main"]
