"""Sets of surrogates as folders of checked files: the one in the package, downloaded ones, and the caller's own.

`sets` finds and selects them; `manifest` and `integrity` say what a set must hold; `download` fetches one, from where
`remote` says and within the limits of `unpack` and `file_types`; `atomic` writes files and folders whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.artifacts.atomic import replacing, staged, write_whole
    from hetbench.artifacts.integrity import FORMATS, check_complete, verify
    from hetbench.artifacts.manifest import MANIFEST, ORIGIN, PACKAGED, Manifest, sha256_of
    from hetbench.artifacts.sets import EMBEDDED, Installed, folder_of, installed

__all__ = [
    "EMBEDDED", "FORMATS", "MANIFEST", "ORIGIN", "PACKAGED", "Installed", "Manifest", "check_complete", "folder_of",
    "installed", "replacing", "sha256_of", "staged", "verify", "write_whole",
]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "atomic": "replacing staged write_whole",
        "integrity": "FORMATS check_complete verify",
        "manifest": "MANIFEST ORIGIN PACKAGED Manifest sha256_of",
        "sets": "EMBEDDED Installed folder_of installed",
    },
)
