"""Rows, folds, bands and the fit of the serving surrogate, on a deployment invented from known effects."""

import numpy as np
import pandas as pd
import pytest

from data_collection.tables import serving_rules as rules
from hetbench.serving.engines import engine_of
from hetbench.serving.neighbours import Kernel
from surrogates.serving import collectives, fit, neighbours, score, splits
from surrogates.serving.rows import physical, terms, usable

BASE = {"source": "s", "ref": "r", "model": "meta-llama/Meta-Llama-3.1-8B", "chip": "nvidia-h100-sxm5-80gb",
        "engine": "vllm", "version": "1", "weights": "bf16", "kv": "bf16", "chips": 1, "tp": 1, "dp": 1, "ep": 1,
        "pp": 1, "input_len": 1024.0, "output_len": 256.0, "kind": "serving", "statistic": "median", "held": 0.0,
        "chunk": 0.0}  # fmt: skip


def _frame(engines: tuple[str, ...] = ("vllm",)) -> pd.DataFrame:
    rows = [BASE | {"engine": engine, "concurrency": float(load), "metric": metric, "value": 0.0}
            for engine in engines for load in (1, 2, 4, 8, 16, 32, 64) for metric in ("tpot", "ttft")]  # fmt: skip
    return pd.DataFrame(rows)


def _measured(frame: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The frame with values of an engine whose every effect is `factor` times the start of the fit."""
    effects = fit.Effects(np.log([fit.START[name] for name in fit.COLUMNS]))
    found = fit.answers(effects, frame, terms(frame))
    chosen = np.where(frame.metric == "tpot", found["tpot"], found["ttft"])
    return frame.assign(value=1e3 * factor * chosen)


@pytest.mark.parametrize("factor", [0.8, 1.5])
def test_the_fit_finds_how_much_slower_an_engine_is(factor: float):
    frame = _measured(_frame(), factor)
    made = terms(frame)
    found = score.chosen(fit.answers(fit.fit(frame, made), frame, made), frame)
    assert found == pytest.approx(frame.value.to_numpy() / 1e3, rel=0.03)


def test_runs_that_hold_requests_or_state_means_have_a_longer_first_token_and_bare_passes_a_shorter_one():
    frame = _frame().iloc[[1, 11]].reset_index(drop=True)  # TTFT at 1 and 32 requests
    effects = fit.Effects(np.log([fit.START[name] for name in fit.COLUMNS]))
    found = {name: fit.answers(effects, made, terms(made)) for name, made in (
        ("plain", frame), ("held", frame.assign(held=20.0)), ("mean", frame.assign(statistic="mean")),
        ("pass", frame.assign(kind="pass")),
    )}  # fmt: skip
    plain = found["plain"]["ttft"]
    alone = fit.answers(effects, frame.assign(output_len=2.0, kind="batch"), terms(frame))["tpot"]
    assert found["held"]["ttft"] - plain == pytest.approx(20 * alone, rel=0.01)
    assert (found["mean"]["ttft"] > plain + 0.029).all()
    assert (found["pass"]["ttft"] < plain).all()


def test_a_row_faster_than_its_weights_can_be_read_is_not_physical():
    frame = _measured(_frame(), 1.0)
    frame.loc[0, "value"] = 1.0  # 8 billion weights in bf16 take 4.8 ms at 3.35 TB/s
    assert physical(frame, terms(frame)).tolist() == [False] + [True] * (len(frame) - 1)


def test_residuals_of_neighbours_correct_a_load_between_them():
    frame = _measured(_frame(), 1.0)
    missed = np.where(frame.metric == "tpot", 0.2, -0.1)
    test = (frame.concurrency == 8).to_numpy()
    kernel = Kernel([4.0] * 7, [0.9, 0.9, 0.5], 0.1, 0.001)
    train, held = (frame[each].reset_index(drop=True) for each in (~test, test))
    found = neighbours.corrected({"tpot": kernel, "ttft": kernel}, train, missed[~test], held)
    for name, expected in (("tpot", 0.2), ("ttft", -0.1)):
        at = (held.metric == name).to_numpy()
        assert found[name][0][at] == pytest.approx([expected], rel=0.1)
        assert found[name][1][at] < 0.3


def test_rows_of_old_versions_are_no_evidence_of_later_ones():
    frame = _frame().assign(version="vllm 0.19.0")
    old = frame.assign(version="vLLM 0.6.3 (Nov 2024)")
    both = pd.concat([old, frame], ignore_index=True)
    test = (both.version == "vllm 0.19.0").to_numpy()
    assert set(splits.evidence(both, ~test, test)) == {"none"}


def test_collectives_of_known_factors_are_found_again():
    x = np.geomspace(0.01, 1000, 30)
    rows = pd.DataFrame({"x": x, "us": 8 + 2 * x**0.5 + 1.2 * x, "bytes": 1e4 * x})
    assert collectives.solve(rows) == pytest.approx([8, 2, 1.2], rel=1e-6)


def test_rows_over_several_nodes_are_counted_and_dropped():
    frame = _frame()
    frame.loc[0:1, "tp"] = 16
    kept, why = usable(frame)
    assert (len(kept), sum(why.values())) == (len(frame) - 2, 2)


@pytest.mark.parametrize("split", splits.SPLITS)
def test_a_fold_never_trains_on_what_it_tests(split: str):
    frame = _frame(("vllm", "sglang"))
    for fold in splits.folds(frame, split):
        assert not (fold.train & fold.test).any()
        assert fold.test.any()


def test_evidence_is_none_where_an_engine_has_no_rows_of_the_family():
    frame = _frame(("vllm", "sglang"))
    test = (frame.engine == "sglang").to_numpy()
    assert set(splits.evidence(frame, ~test, test)) == {"none"}
    assert set(splits.evidence(frame, np.ones(len(frame), bool), test)) == {"model"}


def test_intervals_are_never_narrower_where_less_is_known():
    wide, slim = [-1.0] * 9 + [0.0] + [1.0] * 9, [-0.1] * 9 + [0.0] + [0.1] * 9
    made = score.nested({"tpot | model": wide, "tpot | known": slim})
    assert made["tpot | known"] == wide
    assert made["tpot | none"] == wide


@pytest.mark.parametrize(("text", "engine"), [
    ("dynamo-trt tensorrtllm-runtime:0.8.1", "tensorrt-llm"), ("ATOM-vLLM 2026-04", "atom"),
    ("vllm-ascend main", "vllm-ascend"),
    ("vLLM 0.6.3 (Nov 2024)", "vllm"), ("something", ""),
])  # fmt: skip
def test_software_names_its_engine(text: str, engine: str):
    assert engine_of(text) == engine


def test_a_published_name_means_a_checkpoint_without_its_suffixes_only_where_that_is_known():
    known = {"meta-llama/llama-3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct"}
    assert rules.checkpoint("Llama-3.3-70B-Instruct-MXFP4", known) == "meta-llama/Llama-3.3-70B-Instruct"
    assert rules.checkpoint("MiniMax-M3", known) == ""
