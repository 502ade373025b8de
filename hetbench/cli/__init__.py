"""The `hetbench` command: its subcommands, their options, printed output and exit codes.

Exit codes: 0 answered, 2 wrong usage or an unknown name, 3 refused for lack of evidence, 4 an artefact is missing or
damaged. Modules that need numpy are imported by the commands that use them, so `hetbench --help` starts without it.
"""

from hetbench.cli.app import main

__all__ = ["main"]
