"""NeuSight's training cases: its published predictions beside this project's, on the same rows.

Of ours: the surrogate with the network, the die or all of NeuSight's steps left out; without any measured step (the
factor is 1); and the sum of the operators alone. Whole passes of the same networks on the same chips, inference and the
forward half, taught the whole-model surrogate that the step is partly composed of, but for the operators' sum.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surrogates.reading import read_table
from surrogates.training.fit import base, held_out

__all__ = ["neusight"]

_KEYS = ["chip", "model", "batch", "seq_len"]


def neusight(corpus: Path, frame: pd.DataFrame, share: float) -> list[dict[str, Any]]:
    """Mean errors by vendor over the cases that both answer."""
    needed = (*_KEYS, "method", "phase", "option", "n_chips", "predicted_ms")
    peer = read_table(corpus / "peers" / "peer_predictions_neusight.parquet", needed)
    peer = peer[(peer.method == "neusight") & (peer.phase == "training") & (peer.option == "") & (peer.n_chips == 1)]
    peer = peer.assign(chip=peer.chip.replace({"amd-mi250": "amd-mi210"})).groupby(_KEYS).predicted_ms.first()
    cases = pd.concat([
        held_out(frame, share, by).assign(left_out=name) for by, name in (("fold", "network"), ("die", "die"),
                                                                          ("source", "source"))
    ])  # fmt: skip
    cases = cases[cases.source == "neusight"]
    cases = cases.assign(peer=[peer.get((r.chip, r.model, r.batch, int(r.seq_len))) for r in cases.itertuples()])
    cases = cases[cases.peer.notna()]
    found = []
    for amd, part in cases.groupby(cases.chip.str.startswith("amd")):
        errors = {f"without_{name}": _mean_error(own, own.surrogate) for name, own in part.groupby("left_out")}
        once = part[part.left_out == "source"]
        plain = {"without_steps": _mean_error(once, base(once, share)), "operators": _mean_error(once, once.sums)}
        found.append({"chips": "amd" if amd else "nvidia", "cases": len(once), **errors, **plain,
                      "neusight": _mean_error(once, once.peer)})  # fmt: skip
    return found


def _mean_error(part: pd.DataFrame, ms: Any) -> float:
    return round(float(100 * (np.asarray(ms, float) / part.ms - 1).abs().mean()), 1)
