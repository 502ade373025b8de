"""Columns in, columns out: no row raises, every unanswered row says why."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hetbench import HetBench, InvalidInputError

LINEAR = {"m": 128, "n": 3072, "k": 768}
GOOD = {"op": "Linear", "dims": json.dumps(LINEAR), "dtype": "fp32", "phase": "fwd", "chip": "amd-mi210"}


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def _table(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in {name for row in rows for name in row}}


def test_a_table_answers_as_the_single_query_does(api: HetBench):
    single = api.query_operator("Linear", LINEAR, device="amd-mi210", precision="fp32")
    found = api.query_operators(_table(GOOD, {**GOOD, "dims": LINEAR}))
    assert found["value"] == pytest.approx([single.value] * 2)
    assert found["upper"] == pytest.approx([single.upper] * 2)
    assert found["level"].tolist() == [single.level] * 2
    assert found["reason"].tolist() == ["", ""]


@pytest.mark.parametrize(("changes", "reason"), [
    ({"op": "Linearr"}, "unknown operator 'Linearr'"), ({"op": None}, "unknown operator"),
    ({"op": ["x"]}, "unknown operator"),
    ({"chip": "nvidia-h10"}, "unknown chip"), ({"chip": None}, "the name of a chip must be a text"),
    ({"dtype": "fp17"}, "unknown precision"), ({"dtype": "bf16", "chip": "nvidia-v100-sxm2-16gb"}, "no bf16 units"),
    ({"phase": "bwd"}, "use 'fwd'"), ({"protocol": "sundial"}, "unknown protocol"),
    ({"dims": "nope"}, "JSON of one"), ({"dims": None}, "JSON of one"), ({"dims": "[1]"}, "JSON of one"),
    ({"dims": '{"m": 1}'}, "needs n, k"), ({"dims": {**LINEAR, "m": -1}}, "dim m"),
    ({"dims": {**LINEAR, "m": 1.5}}, "dim m"), ({"dims": {**LINEAR, "m": "x"}}, "dim m"),
    ({"dims": {**LINEAR, "z": 1}}, "no dim 'z'"), ({"dims": {**LINEAR, "m": 10**30}}, "dim m"),
    ({"dims": json.dumps({"m": 2**30, "n": 2**30, "k": 2**30})}, "exceed any chip"),
])
def test_a_malformed_row_says_why_and_leaves_the_others_alone(api: HetBench, changes: dict[str, Any], reason: str):
    found = api.query_operators(_table(GOOD, {**GOOD, **changes}, GOOD))
    assert reason in found["reason"][1]
    assert np.isnan(found["value"]).tolist() == [False, True, False]
    assert found["reason"][[0, 2]].tolist() == ["", ""]


def test_dims_in_any_order_layout_or_type_mean_the_same(api: HetBench):
    spellings = [LINEAR, dict(reversed(LINEAR.items())), {k: np.int64(v) for k, v in LINEAR.items()},
                 {k: float(v) for k, v in LINEAR.items()}, {**LINEAR, "bias": 0}]  # fmt: skip
    texts = [json.dumps(LINEAR), json.dumps(LINEAR, separators=(",", ":")), json.dumps(LINEAR, indent=1)]
    found = api.query_operators(_table(*({**GOOD, "dims": dims} for dims in (*spellings, *texts))))
    assert found["reason"].tolist() == [""] * 8
    assert found["value"] == pytest.approx([found["value"][0]] * 8)


def test_many_rows_of_one_layout_answer_as_each_row_alone(api: HetBench):
    dims = [{"m": m, "n": 8 * m, "k": 64} for m in range(1, 60)]
    together = api.query_operators(_table(*({**GOOD, "dims": json.dumps(d)} for d in dims)))["value"]
    alone = [api.query_operator("Linear", d, device="amd-mi210", precision="fp32").value for d in dims]
    assert together == pytest.approx(alone)


def test_attention_rows_split_into_prefill_and_decode(api: HetBench):
    shape = {"batch": 4, "kv_len": 512, "heads": 8, "kv_heads": 8, "head_dim": 64, "causal": 1}
    rows = [{**shape, "q_len": q_len} for q_len in (1, 512)]
    table = _table(*({**GOOD, "op": "Attention", "dims": json.dumps(d), "dtype": "fp16"} for d in rows))
    alone = [api.query_operator("Attention", d, device="amd-mi210", precision="fp16").value for d in rows]
    assert api.query_operators(table)["value"] == pytest.approx(alone)


@pytest.mark.parametrize(("table", "message"), [
    ([1, 2], "list of dictionaries"), (5, "given: int"), (dict, "given: type"),
    ({}, "lacks the columns op"), ({"opp": []}, "Rename 'opp' to 'op'"),
    ({**_table(GOOD), "op": ["Linear", "Add"]}, "differ in length"),
    ({**_table(GOOD), "op": "Linear"}, "sequence of cells"),
])
def test_a_malformed_table_is_refused(api: HetBench, table: Any, message: str):
    with pytest.raises(InvalidInputError, match=message):
        api.query_operators(table)


def test_an_empty_table_gets_empty_columns(api: HetBench):
    found = api.query_operators({name: [] for name in GOOD})
    assert {name: len(column) for name, column in found.items()} == dict.fromkeys(
        ("value", "lower", "upper", "level", "reason"), 0
    )


def test_model_rows_take_defaults_where_cells_are_missing(api: HetBench):
    nan = float("nan")
    found = api.query_models({
        "model": ["bert-base-uncased", "resnet-50", "gpt3", "gpt2", "gpt2"],
        "chip": ["cuda", "rocm", "cuda", "nope", None],
        "batch": [8.0, nan, 1.0, 1.0, 1.0], "metric": ["latency", None, None, None, None],
    })  # fmt: skip
    assert found["value"][0] == api.query("bert-base", target="cuda", metric="latency", batch=8).value
    assert found["value"][1] == api.query("resnet-50", target="rocm", metric="latency").value
    assert np.isnan(found["value"][2:]).all()
    for at, why in ((2, "unknown model"), (3, "unknown chip"), (4, "no chip")):
        assert why in found["reason"][at]


def test_a_model_row_with_a_size_that_cannot_be_meant_says_so(api: HetBench):
    found = api.query_models({"model": ["gpt2"] * 3, "chip": ["cuda"] * 3, "batch": [0, 1.5, "x"]})
    assert all("batch must be" in reason for reason in found["reason"])


@pytest.mark.parametrize("gap", [None, float("nan"), "", np.datetime64("NaT"), np.float32("nan")])
def test_a_gap_of_any_kind_means_the_default_in_both_tables(api: HetBench, gap: Any):
    gaps = {name: [gap] for name in ("protocol", "library", "layout")}
    plain = api.query_operators(_table(GOOD))["value"][0]
    assert api.query_operators({**_table(GOOD), **gaps})["value"][0] == plain
    names = ("precision", "batch", "seq_len", "image_size", "phase", "stack", "metric")
    found = api.query_models({"model": ["gpt2"], "chip": ["cuda"], **{name: [gap] for name in names}})
    assert found["value"][0] == api.query("gpt2", target="cuda", metric="latency").value


@pytest.mark.parametrize("column", ["op", "dims", "dtype", "chip"])
def test_a_gap_where_there_is_no_default_says_so(api: HetBench, column: str):
    found = api.query_operators(_table({**GOOD, column: float("nan")}, GOOD))
    assert found["reason"][0]
    assert np.isfinite(found["value"]).tolist() == [False, True]


def test_columns_and_cells_of_data_frames_and_arrow_are_read(api: HetBench):
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    plain = api.query_operators(_table(GOOD, GOOD))["value"].tolist()
    table = _table(GOOD, GOOD)
    frame = pd.DataFrame(table)
    columns = {name: frame[name] for name in table}
    arrow = pa.table(table)
    chunked = {name: arrow[name] for name in table}
    scalars = {name: list(arrow[name]) for name in table}
    structs = {**chunked, "dims": pa.array([LINEAR, {**LINEAR, "bias": None}])}
    whole = (frame, frame.convert_dtypes(), arrow, arrow.to_pylist(), (GOOD, GOOD))
    for each in (columns, chunked, arrow.to_pydict(), scalars, structs, *whole):
        assert api.query_operators(each)["value"] == pytest.approx(plain, rel=1e-6)


def test_gaps_of_pandas_and_arrow_mean_the_default(api: HetBench):
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    plain = api.query("gpt2", target="cuda", metric="latency").value
    for gap in (pd.NA, pd.NaT, pa.scalar(None)):
        found = api.query_models({"model": ["gpt2"], "chip": ["cuda"], "batch": [gap], "stack": [gap]})
        assert found["value"][0] == plain


@pytest.mark.parametrize(("column", "meant"), [
    ("bacth", "batch"), ("seqlen", "seq_len"), ("dtype", "precision"), ("device", "chip"), ("stak", "stack"),
])  # fmt: skip
def test_a_column_like_a_known_one_is_named(api: HetBench, column: str, meant: str):
    with pytest.raises(InvalidInputError, match=f"unknown column '{column}'. Did you mean '{meant}'"):
        api.query_models({"model": ["gpt2"], "chip": ["cuda"], column: [8]})


def test_columns_that_describe_a_measurement_are_passed_over_and_others_with_a_warning(api: HetBench):
    measured = {"ref": ["o/r@c:p"], "latency_ms": [1.0], "licence": ["MIT"]}
    assert api.query_operators({**_table(GOOD), **measured})["reason"][0] == ""
    with pytest.warns(UserWarning, match="not read: 'colour'"):
        assert api.query_operators({**_table(GOOD), "colour": ["red"]})["reason"][0] == ""


@pytest.mark.parametrize(("changes", "reason"), [
    ({"library": "cublaas"}, "unknown library 'cublaas'"), ({"layout": "NHCW"}, "unknown layout 'NHCW'"),
    ({"dims": '{"m": 1, "m": 2, "n": 3, "k": 4}'}, "name a size twice"), ({"dims": {**LINEAR, "m": True}}, "m=True"),
    ({"dims": '{"m": true, "n": 3, "k": 4}'}, "dim m=True"), ({"dims": {**LINEAR, "bias": 7}}, "must be 0 or 1"),
    ({"dims": {**LINEAR, "m": 10**400}}, "dim m"), ({"dims": f'{{"m": 1{"0" * 400}, "n": 3, "k": 4}}'}, "dim m"),
    ({"dims": f'{{"m": 1{"0" * 5000}, "n": 3, "k": 4}}'}, "JSON of one"),
    ({"dims": "[" * 100_000}, "JSON of one"), ({"dims": '{5"m": , "n": 3, "k": 4}'}, "JSON of one"),
    ({"op": 10**5000}, "unknown operator"), ({"dtype": object()}, "unknown precision"),
])  # fmt: skip
def test_a_row_that_cannot_be_meant_is_named_and_ends_no_table(api: HetBench, changes: dict[str, Any], reason: str):
    found = api.query_operators(_table(GOOD, {**GOOD, **changes}, GOOD))
    assert reason in found["reason"][1]
    assert len(found["reason"][1]) < 2000
    assert np.isnan(found["value"]).tolist() == [False, True, False]


def test_a_deeply_nested_cell_is_named_too(api: HetBench):
    deep: Any = 1
    for _ in range(5000):
        deep = {"m": deep}
    found = api.query_operators(_table(GOOD, {**GOOD, "dims": deep}))
    assert np.isfinite(found["value"][0])
    assert "JSON of one" in found["reason"][1]


def test_flags_may_be_booleans(api: HetBench):
    shape = {"batch": 1, "q_len": 8, "kv_len": 8, "heads": 2, "kv_heads": 2, "head_dim": 64}
    yes, one = (api.query_operator("Attention", {**shape, "causal": flag}, device="cuda").value for flag in (True, 1))
    assert yes == one


def test_a_library_that_has_no_rows_here_is_noted(api: HetBench):
    noted = api.query_operator("Linear", LINEAR, device="mlu", library=_any_library())
    assert any("answered without them" in note for note in noted.notes)


def _any_library() -> str:
    from hetbench.predict.operators import load

    return next(cell[4] for cell in load().classes["gemm"]["cells"] if cell[4])


@pytest.mark.parametrize("column", [{0: "Linear"}, {"Linear"}, 3, None, "Linear"])
def test_a_column_without_an_order_of_cells_is_refused(api: HetBench, column: Any):
    with pytest.raises(InvalidInputError, match="column 'op' must be a sequence"):
        api.query_operators({**_table(GOOD), "op": column})


@pytest.mark.parametrize(("op", "dims", "said"), [
    ("MaxPool3d", {"n": 1, "c": 8, "d": 1, "h": 50, "w": 64, "kd": 50, "kh": 8, "kw": 8}, "kd is larger than"),
    ("ConvTranspose1d", {"n": 1, "c": 8, "l": 4, "oc": 8, "k": 4, "pad": 9}, "pad leaves nothing of l"),
    ("ConvTranspose2d", {"n": 1, "c": 100, "h": 1, "w": 1, "oc": 512, "kh": 4, "kw": 4}, ""),  # larger than its input
    ("Dropout", {"numel": 8}, ""),
])  # fmt: skip
def test_an_operator_without_a_result_is_refused_and_one_with_a_larger_result_is_not(op: str, dims: Any, said: str):
    table = {"op": [op], "dims": [dims], "dtype": ["fp32"], "phase": ["fwd"], "chip": ["cuda"]}
    found = HetBench().query_operators(table)
    assert said in found["reason"][0]
    assert (found["value"][0] >= 0) == (not said)


def test_a_number_that_signals_when_it_is_compared_is_a_cell_like_others():
    import decimal

    table = {"model": ["gpt2", "gpt2"], "chip": ["cuda"] * 2, "batch": [1, decimal.Decimal("sNaN")]}
    found = HetBench().query_models(table)
    assert found["reason"][0] == ""
    assert "batch must be a whole number" in found["reason"][1]


def test_a_frame_with_two_columns_of_one_name_is_refused():
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    cells = [["gpt2"], ["gpt2"], ["cuda"]]
    names = ["model", "model", "chip"]
    for table in (pd.DataFrame(list(zip(*cells, strict=True)), columns=names), pa.table(cells, names=names)):
        with pytest.raises(InvalidInputError, match="two columns of the table are named 'model'"):
            HetBench().query_models(table)


def test_names_of_columns_are_cut_in_messages():
    table = {"model": ["gpt2"], "x" * 9999: [1], **{f"other{at}": [1] for at in range(50)}}
    with pytest.raises(InvalidInputError, match=r"it has: model, x{60}\.\.\., other0, .* and 22 more\."):
        HetBench().query_models(table)


@pytest.mark.parametrize("bad", [False, np.False_, 0, "evnt"])
def test_a_protocol_that_is_none_is_refused_alone_as_in_a_table(bad: object):
    row = {"op": "Linear", "dims": {"m": 8, "n": 8, "k": 8}, "dtype": "fp16", "phase": "fwd", "chip": "mlu"}
    alone = HetBench().query_operators([{**row, "protocol": bad}])
    both = HetBench().query_operators([{**row, "protocol": "event"}, {**row, "protocol": bad}])
    assert "unknown protocol" in alone["reason"][0]
    assert [reason == "" for reason in both["reason"]] == [True, False]
