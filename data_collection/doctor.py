"""python -m data_collection.doctor [--store DIR]

Prints what this machine can measure: available chip families (and what the others need), the chip's name in the
catalogue, drivers and libraries, energy and memory counters, stacks, the store, and whether the machine is quiet
enough at the moment. Exit code 0 if something can be measured, 3 if nothing can.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from data_collection.backends import Backend, backends, installed
from data_collection.profile.quiet import OTHERS, Meter
from data_collection.profile.stacks import STACKS, missing
from data_collection.store import DEFAULT_STORE
from hetbench.errors import HetBenchError, exit_code

PACKAGES = ("torch", "transformers", "numpy", "pyarrow", "duckdb", "psutil")


def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.doctor", description=__doc__, formatter_class=raw)
    parser.add_argument("--store", type=Path, default=DEFAULT_STORE, help="default: %(default)s")
    return exit_code(partial(_run, parser.parse_args(argv)), "stopped")


def _run(chosen: argparse.Namespace) -> int:
    """Print what this machine can measure."""
    absent = [name for name in PACKAGES if not installed(name)]
    print("packages: " + ", ".join(f"{name} {installed(name) or 'MISSING'}" for name in PACKAGES))
    if absent:
        print("  run: pip install --editable '.[collect]'")
    usable = False
    for name, each in backends().items():
        reason = each.missing()
        print(f"{name}: {reason or 'available'}")
        if not reason:
            usable = True
            for line in _about(each):
                print(f"  {line}")
    for stack in STACKS:
        print(f"stack {stack}: {(missing(stack) or 'available') if 'torch' not in absent else 'needs torch'}")
    print(f"store {chosen.store}: {_writable(chosen.store)}")
    if not absent:
        print(f"load: {_quiet()}")
    return 0 if usable and not absent else 3


def _about(device: Backend) -> Iterator[str]:
    """Lines about one device."""
    yield f"device: {device.identity().device_name}"
    try:
        yield f"chip: {device.chip().name}"
    except HetBenchError as error:
        yield f"chip: {error}"
    yield f"software: {device.software()}"
    yield f"timing: {', '.join(device.protocols)}"
    yield f"peak memory: {'reported' if device.memory() else 'not reported'}"
    energy = "counter" if device.joules() is not None else "from power" if device.watts() is not None else "none"
    yield f"energy: {energy}"


def _writable(store: Path) -> str:
    """Whether rows can be written to a store, and the free space."""
    there = next(path for path in (store, *store.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return f"not writable ({error.strerror}); name another directory with --store"
    room = os.statvfs(there)
    return f"writable, {room.f_bavail * room.f_frsize / 1e9:.0f} GB free"


def _quiet() -> str:
    """CPU use of other processes over one second."""
    meter = Meter()
    time.sleep(1.0)
    others = meter.others_cores()
    said = "quiet" if others <= OTHERS else "NOT quiet: rows measured now would be marked as disturbed"
    return f"other processes use {others:.2f} CPU cores: {said}"


if __name__ == "__main__":
    sys.exit(main())
