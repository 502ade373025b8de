"""The device of this machine as a chip that every command and query knows.

    python -m data_collection.chip measure [--name NAME] [--seconds 10]    measure it; about a minute
    python -m data_collection.chip list                                    the chips measured on this machine
    python -m data_collection.chip forget NAME                             delete one

The record goes to $HETBENCH_HOME/chips (else hetbench/chips in the user's cache). `profile`, `tasks`, `suite` and
`tune` measure a device that nobody knows before they begin.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from data_collection.arguments import count, number
from data_collection.backends import backends, picked
from data_collection.chip.record import SECONDS, measure_chip
from hetbench.catalog.own_chips import folder, forget_own_chip, own_chips
from hetbench.errors import command

__all__ = ["main"]


@command("stopped; no record was written")
def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the three commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.chip", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True, dest="command")
    measure = commands.add_parser("measure", help="measure the device and write its record")
    measure.add_argument("--name", help="name of the chip; default: made of what the device reports")
    measure.add_argument("--backend", choices=sorted(backends()), help="default: an accelerator, else the CPU")
    measure.add_argument("--threads", type=count(), help="CPU threads; default: all")
    add = measure.add_argument
    add("--seconds", type=number(above=True), default=SECONDS, help="time for each figure; default: %(default)s")
    commands.add_parser("list", help="list the chips measured on this machine")
    commands.add_parser("forget", help="delete the record of a chip").add_argument("name")
    chosen = parser.parse_args(argv)
    if chosen.command == "measure":
        device = picked(chosen.backend)
        if chosen.threads:
            device.set_threads(chosen.threads)
        print(f"measuring {device.identity().device_name}", flush=True)
        measure_chip(device, name=chosen.name, seconds=chosen.seconds, say=partial(print, flush=True))
    elif chosen.command == "list":
        for chip in own_chips().values():
            print(f"{chip.name}: {chip.arch}, {chip.source}")
        print(f"{len(own_chips())} in {folder()}")
    else:
        print(f"deleted {forget_own_chip(chosen.name)}")
    return 0


if __name__ == "__main__":
    main()
