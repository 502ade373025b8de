"""`hetbench compare` prints what a list of devices answers, with ratios to the first."""

from __future__ import annotations

import json
from typing import Any

from hetbench import HetBench

NAMES = ["cuda", "amd-mi210", "nvidia-v100-sxm2-16gb"]


def test_chips_are_compared_in_the_order_asked_and_the_refused_say_why(run: Any):
    found = HetBench().query("gpt2", metric="latency", device=NAMES, precision="bf16")
    code, out, _ = run("compare", "gpt2", "--chips", ",".join(NAMES), "--precision", "bf16")
    head, first, second, *rest = out.splitlines()
    assert code == 0
    assert head.split()[:2] == ["chip", "value"]
    assert first.split()[0] == "nvidia-a100-sxm4-80gb"
    assert float(second.split()[-1]) == float(f"{found['amd-mi210'].value / found['cuda'].value:.3g}")
    assert "refused: nvidia-v100-sxm2-16gb: nvidia-v100-sxm2-16gb has no bf16 units" in rest[-1]
    as_json = run("compare", "gpt2", "--chips", ",".join(NAMES), "--precision", "bf16", "--json")[1]
    assert json.loads(as_json) == json.loads(json.dumps(found.to_dict()))


def test_chips_under_different_stacks_are_said_to_be(run: Any):
    out = run("compare", "resnet-50", "--chips", "nvidia-rtx-4090,huawei-ascend-310p,huawei-ascend-910b3")[1]
    stacks = {line.split()[-2] for line in out.splitlines()[1:4]}
    assert ("different stacks" in out) == (len(stacks) > 1)


def test_no_chip_is_taught(run: Any):
    code, _, err = run("compare", "gpt2", "--chips", " , ")
    assert (code, "--chips takes names" in err) == (2, True)
