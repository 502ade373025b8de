"""Whole-model times of NeuSight: one JSON per measurement, fp32, a batch of full sequences, random weights.

Training is forward and backward without an optimiser step; both parts are also separate rows. Options: torch.compile
(`fusion`) and Megatron on four GPUs (data, tensor or pipeline parallel).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from data_collection.importers._neusight import label
from data_collection.upstream.files import Tree

__all__ = ["rows"]

_NAMES = {"bert_large": "BERT-Large", "gpt2_large": "GPT2-Large", "gpt3_27": "GPT3-2.7B", "gpt3_xl": "GPT3-XL",
          "opt_13": "OPT-1.3B", "switchxl4": "SwitchTransformer-XL4"}  # fmt: skip
_SOFTWARE = {"": "eager", "fusion": "torch.compile"}
_WHOLE = ("one forward pass over the whole sequence (prefill-like), batch x seq_len tokens, random-initialised weights",
          "forward + backward, no optimizer step")  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        told, figures = label(tree, path), json.loads(tree.text(path))
        option = told.option
        row = {
            "ref": tree.ref(path), "platform": told.platform, "chip": told.chip, "model": told.model,
            "software": f"pytorch {told.platform} {_SOFTWARE.get(option, 'megatron-lm')}", "precision": "fp32",
            "batch": told.batch, "seq_len": told.seq_len, "metric": "latency_ms", "unit": "ms",
            "n_chips": 1 if option in _SOFTWARE else 4,
        }  # fmt: skip
        training = told.mode == "train"
        parts = {"fwd": figures["fw_latency"], "bwd": figures["bwall_latency"]}
        measured = training and all(parts.values())
        extra = {
            "option": option, "num_layer": figures["num_layer"], "stat": "mean of fastest 5 of 25 iterations",
            "display_name": _NAMES.get(told.model, told.model), "note": _WHOLE[training],
        } | ({f"{part}_ms": value for part, value in parts.items()} if measured else {})  # fmt: skip
        phase = "training" if training else "inference"
        yield row | {"phase": phase, "extra": extra, "value": tree.number(path, 1, figures["e2e_latency"])}
        for part, value in parts.items() if measured else ():
            yield row | {"phase": f"training_{part}", "extra": {"option": option}, "value": value}
