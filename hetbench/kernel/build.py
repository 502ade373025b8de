"""Build the libraries of the kernel for every platform from one machine: `python -m hetbench.kernel.build`.

Needs `pip install ziglang==0.17.1`, a C compiler for all platforms in one wheel. The same version gives the same bytes,
so `--check` tells whether the libraries in the package are what the source makes. Users need neither.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hetbench.kernel.library import LIBRARIES, MANIFEST

__all__ = ["PLATFORMS", "build", "main"]

SOURCE = Path(__file__).parent / "source"
PLATFORMS = {
    "linux-x86_64.so": "x86_64-linux-musl", "linux-aarch64.so": "aarch64-linux-musl",
    "darwin-x86_64.dylib": "x86_64-macos", "darwin-arm64.dylib": "aarch64-macos",
    "windows-amd64.dll": "x86_64-windows-gnu", "windows-arm64.dll": "aarch64-windows-gnu",
}  # fmt: skip
"""Library -> what it is built for. Nothing is linked, so one library for Linux serves glibc and musl."""
_FLAGS = (
    "-O3", "-std=c11", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-sanitize=all", "-fPIC",
    "-ffp-contract=off", "-fno-math-errno", "-fno-asynchronous-unwind-tables", "-mno-stack-arg-probe", "-g0", "-Wall",
    "-Wextra",
)  # fmt: skip


def build(name: str, folder: Path, compiler: list[str]) -> Path:
    """Build one library of `PLATFORMS` into a folder; `CalledProcessError` where the compiler fails."""
    target = PLATFORMS[name]
    flags = [flag for flag in _FLAGS if flag != "-mno-stack-arg-probe" or name.startswith("windows")]
    variants: dict[str, list[str]] = {"any": []}
    if target.startswith("x86_64"):
        variants["wide"] = ["-mavx2", "-mfma"]
    objects = []
    with tempfile.TemporaryDirectory() as scratch:
        for variant, extra in variants.items():
            objects.append(str(Path(scratch) / f"{variant}.o"))
            source = [f"-DVARIANT={variant}", *extra, "-c", str(SOURCE / "variant.c"), "-o", objects[-1]]
            subprocess.run([*compiler, "-target", target, *flags, *source], check=True)
        objects.append(str(Path(scratch) / "kernel.o"))
        entry = ["-c", str(SOURCE / "kernel.c"), "-o", objects[-1]]
        subprocess.run([*compiler, "-target", target, *flags, *entry], check=True)
        made = folder / name
        linked = ["-shared", "-nostdlib", "-s", *(["-Wl,--build-id=none"] if name.endswith(".so") else [])]
        subprocess.run([*compiler, "-target", target, *linked, *objects, "-o", str(made)], check=True)
    for leftover in (*folder.glob("*.lib"), *folder.glob("*.pdb")):
        leftover.unlink()
    return made


def main() -> int:
    """Build all libraries, or with `--check` compare them with those in the package; exit code 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--only", default="", help="build only libraries whose name starts so")
    words = parser.parse_args()
    compiler, found = [sys.executable, "-m", "ziglang", "cc"], {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in PLATFORMS:
            if name.startswith(words.only):
                made = build(name, Path(scratch), compiler).read_bytes()
                found[name] = hashlib.sha256(made).hexdigest()
                if not words.check:
                    LIBRARIES.mkdir(exist_ok=True)
                    (LIBRARIES / name).write_bytes(made)
    known = json.loads(MANIFEST.read_text(encoding="utf-8")) if MANIFEST.exists() else {}
    if words.check:
        differ = sorted(name for name in found if known.get(name) != found[name])
        sys.stdout.write(f"differ: {', '.join(differ)}\n" if differ else f"{len(found)} libraries are as built\n")
        return int(bool(differ))
    MANIFEST.write_text(json.dumps({**known, **found}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
