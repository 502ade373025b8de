"""The surrogate of training steps: what its fit learns from rows, and what its card says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")

import pandas as pd

from hetbench.artifacts import EMBEDDED
from surrogates.training.fit import effects, held_out, labelled, predicted
from surrogates.training.heads import MaskedBert
from surrogates.training.train import scores


def steps(chip: str, factor: float, networks: int = 12, stack: str = "eager", source: str = "s"):
    ms = np.linspace(5, 50, networks)
    return pd.DataFrame({
        "source": source, "chip": chip, "model": [f"m{n}" for n in range(networks)], "precision": "fp16",
        "graph": [f"m{n}" for n in range(networks)], "stack": stack, "optimizer": "adamw", "passes": ms, "sums": ms,
        "ms": factor * ms, "roofline": ms / 2, "peak_ms": ms / 3,
    })  # fmt: skip


H100, A100 = "nvidia-h100-sxm5-80gb", "nvidia-a100-sxm4-80gb"


def test_steps_that_take_what_they_are_composed_of_have_no_factor():
    frame = labelled(steps(H100, 1.0))
    assert predicted(frame, 0.5, effects(frame, 0.5)) == pytest.approx(frame.ms.to_numpy())


def test_a_factor_that_all_rows_share_is_learned_nearly_whole_and_never_more():
    frame = labelled(steps(H100, 1.5, 100))
    ratio = predicted(frame, 0.5, effects(frame, 0.5)) / frame.passes
    assert 1.4 < ratio.iloc[0] < 1.5


def test_few_rows_move_a_factor_less_than_many():
    few, many = (labelled(steps(H100, 2.0, n)) for n in (2, 100))
    moved = [(predicted(each, 0.5, effects(each, 0.5)) / each.passes).iloc[0] for each in (few, many)]
    assert 1 < moved[0] < moved[1] < 2


def test_a_die_that_is_left_out_is_told_by_the_others_alone():
    frame = labelled(pd.concat([steps(H100, 1.5), steps(A100, 1.0)], ignore_index=True))
    held = held_out(frame, 0.5, "die").set_index("chip")
    assert (held.loc[A100].surrogate > held.loc[A100].ms).all()
    assert (held.loc[H100].surrogate < held.loc[H100].ms).all()


def test_scores_count_the_steps_inside_the_band_of_the_others():
    frame = labelled(pd.concat([steps(H100, 1.5), steps(A100, 1.5)], ignore_index=True))
    found = scores(held_out(frame, 0.5, "die"), "die")[-1]
    assert (found["source"], found["n"], found["dies"]) == ("all", 24, 2)
    assert found["surrogate"] < found["roofline"]


def test_the_head_of_masked_bert_scores_every_token():
    table = MaskedBert().operators(2, 128)
    assert any(30522 in group.dims["n"] and 256 in group.dims["m"] for group in table.groups if group.op == "Linear")


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads((Path(EMBEDDED) / "training_card.json").read_text())


def test_the_card_beats_roofline_and_constant_efficiency_on_what_was_left_out(card: dict):
    for held in ("networks_left_out", "dies_left_out", "sources_left_out"):
        every = card[held][-1]
        assert every["source"] == "all"
        assert every["surrogate"] < 20 < min(every["roofline"], every["constant"])
        assert every["inside"] >= 85


def test_the_card_states_memory_by_network_and_the_peer_on_the_same_cases(card: dict):
    assert {row["network"] for row in card["memory"]} >= {"bert-base-masked", "resnet50"}
    assert {row["chips"]: row["cases"] for row in card["neusight"]} == {"nvidia": 22, "amd": 9}
