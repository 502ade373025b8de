"""FLOPs of twenty networks by public counters, by hand and by hetbench: `python -m data_collection.validate.flops`.

Counters that are not installed are left out; torch's own is always there. Figures are shares of the hand count, so 1
is right; a counter that fails on a network is shown by a dash. All figures are of products: multiply-adds times two,
without biases and element-wise operators where a counter lets them be told apart.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data_collection.validate.flop_subjects import Subject, subjects
from hetbench.artifacts import write_whole
from hetbench.errors import HetBenchError
from hetbench.graphs import OperatorTable
from hetbench.operators import operator_type
from hetbench.tracing import trace

__all__ = ["COUNTERS", "counted", "products", "table"]


def products(operators: OperatorTable) -> int:
    """FLOPs of the products of a table, without biases; causal attention counts attended pairs only."""
    total = 0
    for group in operators.groups:
        dims, kind = dict(group.dims), operator_type(group.op)
        if kind.cost_class in ("gemm", "conv", "attention"):
            if "bias" in dims:
                dims["bias"] = 0 * group.count
            total += int((kind.flops(dims) * group.count).sum())
    return total


def _inputs(subject: Subject) -> tuple[Any, ...]:
    import torch

    if subject.tokens:
        return tuple(torch.zeros(shape, dtype=torch.long) for shape in subject.shapes)
    return tuple(torch.zeros(shape) for shape in subject.shapes)


def _torch(module: Any, inputs: tuple[Any, ...]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    return float(counter.get_total_flops())


def _profiler(module: Any, inputs: tuple[Any, ...]) -> float:
    from torch.profiler import profile

    with profile(with_flops=True) as found:
        module(*inputs)
    return float(sum(event.flops or 0 for event in found.key_averages()))


def _fvcore(module: Any, inputs: tuple[Any, ...]) -> float:
    from fvcore.nn import FlopCountAnalysis

    found = FlopCountAnalysis(module, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return 2.0 * found.total()


def _thop(module: Any, inputs: tuple[Any, ...]) -> float:
    import thop

    return 2.0 * thop.profile(module, inputs, verbose=False)[0]


def _torchinfo(module: Any, inputs: tuple[Any, ...]) -> float:
    import torchinfo

    return 2.0 * torchinfo.summary(module, input_data=list(inputs), verbose=0).total_mult_adds


def _ptflops(module: Any, inputs: tuple[Any, ...]) -> float:
    import ptflops

    names = list(_parameters(module))
    given = dict(zip(names, inputs, strict=False))
    macs, _ = ptflops.get_model_complexity_info(
        module, tuple(inputs[0].shape), input_constructor=lambda _: given, as_strings=False, verbose=False,
        print_per_layer_stat=False,
    )  # fmt: skip
    return 2.0 * float(macs)


def _calflops(module: Any, inputs: tuple[Any, ...]) -> float:
    import calflops

    flops, *_ = calflops.calculate_flops(
        module, args=list(inputs), print_results=False, output_as_string=False, print_detailed=False
    )  # fmt: skip
    return float(flops)


def _parameters(module: Any) -> Mapping[str, Any]:
    from inspect import signature

    return signature(module.forward).parameters


def _ours(module: Any, inputs: tuple[Any, ...]) -> float:
    return float(products(trace(module, inputs).operators(precision="fp32")))


COUNTERS: Mapping[str, tuple[str, Callable[[Any, tuple[Any, ...]], float]]] = {
    "FlopCounterMode": ("torch", _torch), "torch.profiler": ("torch", _profiler), "fvcore": ("fvcore", _fvcore),
    "ptflops": ("ptflops", _ptflops), "thop": ("thop", _thop), "torchinfo": ("torchinfo", _torchinfo),
    "calflops": ("calflops", _calflops), "hetbench": ("torch", _ours),
}  # fmt: skip
"""Counter -> the package it comes with, and how it counts one call of a module."""


def installed() -> dict[str, str]:
    """Counters that can run here, with the version of their package."""
    found: dict[str, str] = {}
    for name, (package, _) in COUNTERS.items():
        with contextlib.suppress(PackageNotFoundError, ImportError):
            import_module("fvcore.nn" if package == "fvcore" else package)  # one that lacks a dependency is not there
            found[name] = version(package)
    return found


def counted(name: str, subject: Subject) -> float | None:
    """FLOPs by one counter on a fresh network under `no_grad`; None where it fails."""
    import torch

    _, count = COUNTERS[name]
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return count(subject.build().eval(), _inputs(subject))
        except HetBenchError:
            raise
        except (Exception, SystemExit):  # noqa: BLE001 - counters fail in their own ways, ptflops by leaving
            return None


def _alone(name: str) -> list[float | None]:
    """One counter on every network, in a process of its own: some replace functions of torch and leave them so."""
    command = [sys.executable, "-m", "data_collection.validate.flops", "--only", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float | None] = json.loads(done.stdout.splitlines()[-1])
    return found


_NOTES = """
* Counted are products: a multiply-add is two operations. Networks run in evaluation mode under `torch.no_grad()`, on
  the CPU, in float32. Counters that add biases and element-wise operators come out a few percent above 1.
* Causal attention is counted by hand and by hetbench as the pairs that are attended, half of the square and half of
  the diagonal; a counter that takes the whole square gives 1.98 for 128 tokens.
* 0 or far below 1 means that a counter leaves out an operator: attention as one function, fused layers
  (`nn.TransformerEncoderLayer` is one call under `no_grad`), recurrent layers, experts as one grouped product.
* A dash means that the counter stopped with an error on this network.
* MLP, convolutions and products of matrices alone are counted alike by all; most differences are operators that a
  counter has no formula for, not formulas that differ.
"""


def table() -> str:
    """The table in Markdown: each counter's figure over the hand count."""
    known = installed()
    versions = ", ".join(f"{name} {known[name]}" for name in known if name != "hetbench")
    rows = ["| network | by hand | " + " | ".join(known) + " |", "|---|---:|" + "---:|" * len(known)]
    figures = {name: _alone(name) for name in known}
    for index, subject in enumerate(subjects()):
        found = [figures[name][index] for name in known]
        cells = ["–" if each is None else f"{each / subject.by_hand:.3g}" for each in found]
        rows.append(f"| {subject.name} | {subject.by_hand:,} | " + " | ".join(cells) + " |")
    head = (
        "# FLOPs by public counters\n\nFigures are shares of the hand count: 1 is right. Written by "
        "`python -m data_collection.validate.flops`.\n\nVersions: "
        f"{versions}; transformers {version('transformers')}.\n\n"
    )
    return head + "\n".join(rows) + "\n" + _NOTES


def main(argv: list[str] | None = None) -> int:
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(prog="python -m data_collection.validate.flops", description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write; printed if left out")
    parser.add_argument("--only", choices=list(COUNTERS), help="one counter's figures as JSON, in the table's order")
    options = parser.parse_args(argv)
    logging.disable(logging.ERROR)
    if options.only:
        figures = [counted(options.only, subject) for subject in subjects()]
        sys.stdout.write(f"\n{json.dumps(figures)}\n")
        return 0
    text = table()
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_whole(options.out, text, "--out FILE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
