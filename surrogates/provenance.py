"""Which code made an artefact."""

from __future__ import annotations

import subprocess


def commit() -> str:
    """The commit of the checkout."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
