"""Random questions, tables, datasheets and command lines: answered with a figure that can be, or refused in words.

`HETBENCH_FUZZ=60 pytest tests/hetbench/test_fuzz.py` tries sixty times as many, with other draws each time.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from hetbench import Answer, HetBench, HetBenchError, InvalidInputError, UnknownNameError, chips, metrics, models  # noqa: E402
from hetbench.catalog.chips import NUMBERS, Chip  # noqa: E402
from hetbench.cli import main  # noqa: E402
from hetbench.operators import operator_types  # noqa: E402
from hetbench.schema import FAMILIES, PHASES, PRECISIONS, PROTOCOLS  # noqa: E402

MORE = int(os.environ.get("HETBENCH_FUZZ", "1"))


def tries(count: int) -> Any:
    """Settings of a test of `count` examples, the same draws in every run unless more are asked for."""
    return settings(
        max_examples=count * MORE, deadline=None, database=None, derandomize=MORE == 1,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip


def _mostly(*names: str) -> st.SearchStrategy[Any]:
    """One of the names; now and then a text, a number or nothing."""
    known = st.sampled_from(names)
    return st.one_of(known, known, known, known, st.none(), st.text(max_size=12), st.integers(-3, 3), st.floats())


SIZES = st.one_of(st.none(), st.integers(1, 64), st.integers(), st.floats(), st.text(max_size=4), st.booleans())
CHIPS = _mostly(*FAMILIES, "CUDA", *list(chips())[::9])
OPTIONS = st.fixed_dictionaries({}, optional={
    "batch": SIZES, "seq_len": SIZES, "image_size": SIZES, "precision": _mostly(*PRECISIONS),
    "phase": _mostly(*PHASES), "stack": _mostly("eager", "compiled", "tensorrt", "acl", "magicmind"),
    "predictor": _mostly("auto", "roofline", "rgat", "autogluon"), "confidence": st.one_of(st.none(), st.floats(0, 1)),
})  # fmt: skip
DIM = st.one_of(st.integers(1, 4096), st.integers(1, 4096), st.integers(-(10**20), 10**20), st.floats(), st.booleans(),
                st.none(), st.text(max_size=3))  # fmt: skip


@st.composite
def dims(draw: Any) -> Any:
    """Dims of some operator type, as a mapping or as JSON, at times broken."""
    kind = draw(st.sampled_from(list(operator_types().values())))
    made = {name: draw(DIM) for name in (*kind.dims, *draw(st.sets(st.sampled_from(["bias", "pad", "causal", "x"]))))}
    text = draw(st.sampled_from(["mapping", "json", "broken"]))
    if text == "mapping":
        return kind.name, made
    packed = json.dumps(made)
    if text == "broken":
        packed = packed[: draw(st.integers(0, len(packed)))] + draw(st.text(max_size=3))
    return kind.name, packed


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def _plausible(answer: Answer) -> None:
    assert math.isfinite(answer.value)
    assert answer.value >= 0
    if answer.lower is not None and answer.upper is not None:
        assert 0 <= answer.lower <= answer.value * (1 + 1e-9)
        assert answer.value <= answer.upper * (1 + 1e-9)


@tries(250)
@given(_mostly(*list(models())[::4]), CHIPS, st.one_of(st.none(), CHIPS), _mostly(*metrics()), OPTIONS)
def test_a_question_gets_a_figure_that_can_be_or_words(
    api: HetBench, model: Any, target: Any, source: Any, metric: Any, options: dict[str, Any]
):
    try:
        found = api.query(model, source, target, metric, **options)
    except HetBenchError:
        return
    for answer in [found] if isinstance(found, Answer) else found.values():
        _plausible(answer)
        assert pickle.loads(pickle.dumps(answer)) == answer


@tries(120)
@given(st.lists(st.tuples(dims(), CHIPS, _mostly(*PRECISIONS), _mostly(*PROTOCOLS), _mostly("NCHW", "NHWC")),
                min_size=1, max_size=8))  # fmt: skip
def test_a_row_of_a_table_is_answered_as_it_is_alone(api: HetBench, rows: list[Any]):
    def asked(part: list[Any]) -> dict[str, list[Any]]:
        return {"op": [row[0][0] for row in part], "dims": [row[0][1] for row in part], "phase": ["fwd"] * len(part),
                "chip": [row[1] for row in part], "dtype": [row[2] for row in part],
                "protocol": [row[3] for row in part], "layout": [row[4] for row in part]}  # fmt: skip

    together = api.query_operators(asked(rows))
    for at, row in enumerate(rows):
        alone = api.query_operators(asked([row]))
        value, reason = together["value"][at], together["reason"][at]
        assert np.isfinite(value) != bool(reason)
        assert (alone["reason"][0] == "") == (reason == "")
        assert np.isnan(value) or alone["value"][0] == pytest.approx(value, rel=1e-6)
        assert np.isnan(value) or value >= 0


@tries(60)
@given(st.lists(st.tuples(_mostly(*list(models())[::6]), CHIPS, _mostly(*metrics()), SIZES, SIZES, _mostly(*PRECISIONS),
                          _mostly("eager", "compiled")), min_size=1, max_size=4))  # fmt: skip
def test_a_row_about_a_model_is_answered_or_says_why(api: HetBench, rows: list[Any]):
    names = ("model", "chip", "metric", "batch", "seq_len", "precision", "stack")
    found = api.query_models({name: [row[at] for row in rows] for at, name in enumerate(names)})
    assert [np.isfinite(value) for value in found["value"]] == [reason == "" for reason in found["reason"]]


@tries(100)
@given(st.dictionaries(_mostly("op", "dims", "dtype", "phase", "chip", "protocol", "ref", "bacth", "model"),
                       st.one_of(st.lists(st.one_of(st.none(), st.text(max_size=4), st.floats(), st.booleans(),
                                                    st.integers()), max_size=3), st.text(max_size=4), st.integers()),
                       max_size=7))  # fmt: skip
def test_a_table_of_any_shape_is_answered_or_refused_as_a_whole(api: HetBench, table: dict[Any, Any]):
    for ask in (api.query_operators, api.query_models, HetBench().observe):
        with warnings.catch_warnings(), contextlib.suppress(InvalidInputError):
            warnings.simplefilter("ignore")  # of columns that are not read
            found = ask(table)
            assert {len(column) for column in found.values()} == {len(found["reason"])}


FACTS = st.fixed_dictionaries(
    {"name": st.text(max_size=6), "family": _mostly(*FAMILIES)},
    optional={name: st.one_of(st.floats(0.1, 5000), st.floats(), st.integers(), st.none()) for name in NUMBERS},
)


@tries(200)
@given(FACTS)
def test_a_datasheet_is_taken_with_figures_that_can_be_or_refused(facts: dict[str, Any]):
    try:
        made = Chip.from_mapping(facts)
    except HetBenchError:
        return
    assert made.family in FAMILIES
    assert made.name.strip()
    bandwidths = [each.mem_bw_gbs for each in chips().values() if each.mem_bw_gbs]
    assert min(bandwidths) / 10 <= made.mem_bw_gbs <= 10 * max(bandwidths)


WORDS = st.one_of(
    st.sampled_from([
        "query", "operator", "coverage", "migrate", "explain", "advise", "graph", "models", "metrics", "--json", "gpt2",
        "bert-tiny", "--target", "cuda", "CANN", "--metric", "latency", "--batch", "8", "0", "-1", "nan", "--slo",
        "5ms", "Linear", "m=8", "n=8", "k=8", "m=9", "--device", "--precision", "fp16", "--limit", "--source",
        "--stack", "--chip-file", "/dev/null", "neighbours", "model:gpt2", "nearest", "--help", "--version",
    ]),
    st.text(max_size=6),
)  # fmt: skip


@tries(60)
@given(st.lists(WORDS, max_size=7))
def test_a_command_line_ends_with_an_exit_code_and_without_a_traceback(words: list[str]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as done:
        main(words)
    assert (done.value.code or 0) in (0, 2, 3, 4)
    said = out.getvalue() + err.getvalue()
    assert said.strip()
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert not (done.value.code and "{" in out.getvalue()[:1]), "an error leaves stdout empty of JSON"


@tries(200)
@given(st.text(), st.one_of(st.text(), st.integers(), st.floats(), st.none()), st.lists(st.text(), max_size=20))
def test_an_unknown_name_makes_a_message_that_pickles(kind: str, name: Any, known: list[str]):
    error = UnknownNameError(kind, name, known)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@tries(60)
@given(st.binary(max_size=300), st.sampled_from([".toml", ".json", ""]))
def test_a_file_of_any_bytes_is_no_datasheet(tmp_path_factory: pytest.TempPathFactory, packed: bytes, suffix: str):
    path = Path(tmp_path_factory.getbasetemp()) / f"sheet{suffix}"
    path.write_bytes(packed)
    with pytest.raises(HetBenchError):
        HetBench().add_chip(path)
