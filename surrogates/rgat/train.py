"""Train, export and score the RGAT; resumes after the last finished fit.

    python -m surrogates.rgat --work runs/operators --out hetbench/catalog/surrogates

`--work` is the folder of `surrogates.train`, whose hold-out rows are read. Writes rgat.npz and rgat.json (what hetbench
reads) and rgat_card.json (scores). Ten fits: six folds of dies, two families, unseen operator types, and all rows.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from hetbench.errors import RefusedError, command
from surrogates.rgat import data, score
from surrogates.rgat.fit import Effort, fit, outputs
from surrogates.rgat.network import Rgat
from surrogates.rgat.splits import FAMILIES, FITS, held_out
from surrogates.threads import one_thread
from surrogates.writing import write_arrays


def run(name: str, work: Path, effort: Effort) -> None:
    """One fit and what it says of the rows it did not see, as work/rgat/NAME.npz."""
    done = work / "rgat" / f"{name}.npz"
    if done.exists():
        return
    one_thread()
    names = data.node_names()
    graph = data.graph(names)
    table, moments = data.load(work, "chips", names)
    away = held_out(name, table.frame)
    checkpoint = work / "rgat" / f"{name}.pt"
    network = fit(table, graph, away, effort, checkpoint=checkpoint, use_graph=name != "flat-types", label=name)
    found = {"scale": network.scale.detach().numpy()}
    if name == "all":
        found |= exported(network, graph, names, moments)
    asked = table
    if name.removeprefix("no-") in FAMILIES:  # what the ratio head says without the family
        asked, _ = data.load(work, "families", names, moments)
        away = held_out(name, asked.frame)
    if away.any():
        mean, noise, coordinates = outputs(network, asked, graph, np.flatnonzero(away))
        found |= {"mean_": mean, "noise_": noise, "coordinates_": coordinates.astype(np.float32)}
    write_arrays(done, found, compressed=False)
    checkpoint.unlink(missing_ok=True)


@torch.no_grad()
def exported(
    network: Rgat, graph: data.Graph, names: dict[str, int], moments: data.Moments
) -> dict[str, np.ndarray]:
    """The arrays that `hetbench.predict.rgat` reads; operator types by their vector, the last row for any other."""
    types = network.encode(graph)[[at for name, at in names.items() if name.startswith("type:")]]
    arrays = {
        "types": torch.cat((types, types.mean(0, keepdim=True))), "dtypes": network.of_dtype.weight,
        "protocols": network.of_protocol.weight, "into": network.into, "out": network.out.weight.T,
        "out_bias": network.out.bias, "mean": torch.from_numpy(moments.mean),
        "deviation": torch.from_numpy(moments.deviation),
    }  # fmt: skip
    for index, layer in enumerate(network.hidden):
        arrays |= {f"weight{index}": layer.weight.T, f"bias{index}": layer.bias}
    return {name: array.detach().numpy().astype(np.float32) for name, array in arrays.items()}


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/operators"))
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument("--steps", type=int, default=Effort().steps)
    parser.add_argument("--jobs", type=int, default=2, help="fits at once, one thread each")
    options = parser.parse_args()
    if not (options.work / "artefact" / "operators.json").exists():
        raise RefusedError(f"{options.work} has no trained operators to learn from. Run: python -m surrogates.train")
    (options.work / "rgat").mkdir(exist_ok=True)
    began = time.time()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(run, work=options.work, effort=Effort(steps=options.steps)), FITS))
    print(f"fits done after {time.time() - began:.0f} s", flush=True)
    score.publish(options.work, options.out)


if __name__ == "__main__":
    main()
