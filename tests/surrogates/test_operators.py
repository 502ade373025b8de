"""Training code on real rows: what the rules drop, what a split keeps apart, and that an export answers as fitted."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("duckdb")
pytest.importorskip("autogluon.tabular")

from hetbench import HetBench  # noqa: E402
from hetbench.catalog.chips import chip  # noqa: E402
from hetbench.operators import operator_type  # noqa: E402
from hetbench.predict import operators  # noqa: E402
from hetbench.predict.class_surrogate import median_of_three, roofline_log_ratio  # noqa: E402
from surrogates import corpus, splits  # noqa: E402
from surrogates.evaluate import coverage, score, served  # noqa: E402
from surrogates.operators import holdout  # noqa: E402
from surrogates.operators.dataset import Effects, cell_labels, complete, floors, matrix, with_roofline  # noqa: E402
from surrogates.operators.tabular import Budget, fit_full, fit_ratio, full_columns, sample  # noqa: E402
from surrogates.peers import neusight  # noqa: E402

ROWS = Path(__file__).parents[1] / "data" / "operator_rows.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A corpus folder of real rows, a few of each data set."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "op").mkdir()
    rows = pd.DataFrame(json.loads(ROWS.read_text()))
    for name, part in rows.groupby("file"):
        part.drop(columns="file").to_parquet(folder / "op" / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def tables(root):
    return {name: with_roofline(complete(frame)) for name, frame in corpus.load(root).items()}


def test_each_rule_says_what_it_drops(root, capsys):
    corpus.load(root)
    printed = capsys.readouterr().out
    for rule in ("1 microsecond clock", "placeholder GFLOPS", "unreleased parts", "Triton and FlagGems versions",
                 "gfx1100 fp32 in hipBLASLt", "not forward", "operator outside the types"):  # fmt: skip
        line = next(line for line in printed.splitlines() if rule in line)
        assert not line.startswith("  -         0"), line


def test_every_data_set_has_its_protocol(tables):
    rows = pd.concat(tables.values())
    protocol = rows.groupby("dataset").protocol.agg(set)
    assert protocol["vidur"] == {"kernel"}
    assert protocol["neusight"] == {"event"}
    assert protocol["aiconfigurator"] == {"graph", "event"}  # NVIDIA replays graphs, Intel launches eagerly
    assert set(rows[rows.chip == "intel-arc-pro-b60"].protocol) == {"event"}


def test_one_die_of_an_mi250_counts_as_an_mi210(tables):
    gemm = tables["gemm"]
    assert "amd-mi250" not in set(gemm.chip)
    assert "amd-mi210" in set(gemm[gemm.split == "trace"].chip)


def test_a_shape_never_stands_on_both_sides_of_the_split(tables):
    gemm = pd.concat([tables["gemm"], tables["gemm"].assign(chip="nvidia-l4", latency_ms=1.0)], ignore_index=True)
    fold = pd.Series(splits.shape_fold(gemm))
    shapes = gemm.op + gemm[["b", "m", "n", "k"]].astype(str).agg(",".join, axis=1)
    assert (fold.groupby(shapes).nunique() == 1).all()


def test_near_twins_leave_together():
    frame = pd.DataFrame({"chip": ["nvidia-h100-sxm5-80gb", "nvidia-h200-sxm-141gb", "nvidia-h20-96gb", "nvidia-l4"]})
    groups = splits.die(frame)
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_no_latency_is_below_its_own_roofline_by_more_than_a_cache_can_explain(tables):
    for name, frame in tables.items():
        if name != "conv":  # Winograd needs fewer operations than the formula counts
            assert (frame.latency_ms > frame.roofline_ms / 8).all(), name


def test_an_effect_of_few_rows_is_shrunk_to_the_mean():
    frame = pd.DataFrame({key: ["a"] * 4 for key in ("op", "chip", "dtype", "protocol", "library", "layout")})
    frame.loc[3, "op"] = "b"
    effects = Effects.fit(frame, np.array([0.0, 0.0, 0.0, 24.0]))
    assert effects.default == 6.0
    assert effects.tables["op"]["b"] == pytest.approx((24 + 20 * 6) / 21)


def test_an_unseen_version_of_a_library_falls_back_to_its_kernel_then_to_its_engine():
    frame = pd.DataFrame({key: ["x"] * 2 for key in ("op", "chip", "dtype", "protocol", "layout")})
    effects = Effects.fit(
        frame.assign(library=["vllm 0.1/context/fa2", "trtllm 1.0/context/flow"]), np.array([1.0, -1.0])
    )
    unseen = frame.assign(library=["vllm 0.9/context/fa2", "vllm 0.9/context/fa3"])
    assert effects.columns(unseen)[:, 1] == pytest.approx([1 / 21, 1 / 21])
    assert effects.columns(frame.assign(library="sglang 5"))[0, 1] == 0.0


def test_scores_are_the_percentages_they_say():
    result = score(np.array([1.0, 2.0, 4.0]), np.array([1.1, 1.0, 4.0]))
    assert (result["median_ape"], result["mean_ape"], result["within_20"], result["n"]) == (10.0, 20.0, 66.7, 3)
    inside = coverage(pd.DataFrame({"latency_ms": [1.0, 2.0], "lower": [0.5, 3.0], "upper": [2.0, 6.0]}))
    assert inside == {"n": 2, "inside": 50.0, "width": 3.0}


def grid(rows=600):
    """Rows of one cell whose latency follows a law that the features can tell."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({dim: 2 ** random.integers(4, 13, rows) for dim in ("m", "n", "k")})
    cell = {"op": "Linear", "chip": "nvidia-l4", "dtype": "fp16", "protocol": "event", "library": "x", "layout": ""}
    frame = frame.assign(b=1, cls="gemm", family="cuda", dataset="neusight", split="", **cell)
    work = 2.0 * frame.m * frame.n * frame.k
    return with_roofline(frame.assign(latency_ms=0.02 + 1e3 * work / 60e12 * (1 + 64 / frame.m)))


def fit_table():
    """The grid as the full head sees it, and which rows it tunes on."""
    frame = grid()
    made = matrix(frame, floors([frame]))
    effects, labels = Effects.fit(frame, made.target), cell_labels(frame)
    table = full_columns(made, frame, effects, {labels[0]: 0}, labels)
    held = np.arange(len(frame)) % 5 == 0
    return made, table, held


def test_the_export_answers_as_autogluon_does_and_beats_the_roofline():
    made, table, held = fit_table()
    head = fit_full(table, made.target, held, Budget(1000, 60, 6, 0.2, hidden=16, layers=2, epochs=20))
    matrix_ = table.to_numpy(np.float32)
    serve = {"forest": lambda m: head.forest(m), "perceptron": lambda m: head.perceptron(m[:, :-1], 0)}
    answer = sum(weight * serve[name](matrix_) for name, weight in head.weights.items())
    np.testing.assert_allclose(answer, head(table), atol=1e-4)
    error, roofline = np.abs(answer - made.target)[held], np.abs(made.target)[held]
    assert np.median(error) < np.median(roofline) / 3


def test_two_fits_from_one_seed_are_the_same_to_the_bit():
    made, table, held = fit_table()
    heads = [fit_full(table, made.target, held, Budget(1000, 20, 4, 0.2, hidden=8, layers=1, epochs=3)) for _ in "ab"]
    one, other = ({f"{m}.{k}": v for m in head.weights for k, v in getattr(head, m).to_arrays(m).items()}
                  for head in heads)  # fmt: skip
    assert heads[0].weights == heads[1].weights
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_a_card_cites_the_manifest_and_the_pins_of_its_corpus(root, tmp_path):
    tables = corpus.cited(root)["tables"]
    assert tables["vidur"] == hashlib.sha256((root / "op" / "vidur.parquet").read_bytes()).hexdigest()
    built = {"table": "op/vidur.parquet", "repository": "microsoft/vidur", "commits": {"abc": 3}, "licence": "MIT",
             "rows": 7, "sha256": "00"}  # fmt: skip
    text = json.dumps({"sources": {"vidur": built | {"bytes": 9}, "timm": built | {"table": "model/timm.parquet"}}})
    (tmp_path / "manifest.json").write_text(text)
    assert corpus.cited(tmp_path) == {
        "manifest_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "sources": {"vidur": {name: built[name] for name in built if name != "table"}},
    }


def test_shuffled_targets_leave_the_ratio_head_at_chance():
    frame = grid()
    made = matrix(frame, floors([frame]))
    shuffled = np.random.default_rng(1).permutation(made.target)
    fitted = fit_ratio(made.ratio[:400], shuffled[:400], np.ones(400), [Budget(400, 30, 4, 0.1)])
    error = np.abs(fitted.predict(made.ratio[400:]) - made.target[400:])
    assert np.median(error) > 0.7 * np.median(np.abs(made.target[400:] - np.median(shuffled)))
    forest = fitted.forest
    np.testing.assert_allclose(forest(made.ratio), fitted.predict(made.ratio), atol=1e-5)


def test_a_family_without_rows_gets_the_median_of_learned_constant_and_roofline():
    made = matrix(grid(), floors([grid()])).take(np.arange(5))
    plain = roofline_log_ratio(made)
    learned, constant = np.array([[1.0, -1.0, 2.0, 1.0, 1.0], [2.0, 1.0, 1.0, -1.0, np.nan]]) + plain
    expected = np.array([1.0, 0.0, 1.0, 0.0, 1.0]) + plain
    np.testing.assert_allclose(median_of_three(learned, constant, made), expected)


def test_a_family_learns_from_its_own_rows_once_enough_of_its_dies_were_measured():
    dies = ["nvidia-t4", "nvidia-l4", "nvidia-h100-sxm5-80gb", "nvidia-a100-sxm4-80gb"]
    frame = pd.concat([grid(200).assign(chip=chip) for chip in dies])
    assert holdout.ratio_group(frame, "cuda") == "cuda"
    assert holdout.ratio_group(frame[frame.chip != "nvidia-l4"], "cuda") == "any"
    twins = frame.replace({"chip": {"nvidia-l4": "nvidia-h200-sxm-141gb"}})  # the die of the H100
    assert holdout.ratio_group(twins, "cuda") == "any"
    assert holdout.ratio_group(frame, "rocm") == "any"


def test_constant_efficiency_falls_back_from_operator_and_dtype_to_operator_to_all():
    train = grid(4).assign(op=["Linear", "Linear", "Linear", "BMM"], dtype=["fp16", "fp16", "fp32", "fp16"])
    test = grid(3).assign(op=["Linear", "Linear", "MatMul"], dtype=["fp16", "int8", "fp16"])
    assert holdout.constant_residual(train, np.array([1.0, 3.0, 4.0, 9.0]), test).tolist() == [2.0, 3.0, 3.5]


def test_a_table_of_operators_answers_as_the_training_code_scores(tables):
    for name, frame in tables.items():
        expected = served(frame, operators.load(), "auto")
        dims = {op: (*operator_type(op).dims, *operator_type(op).optional) for op in set(frame.op)}
        given = [{dim: int(row[dim]) for dim in dims[row["op"]] if dim in row} for row in frame.to_dict("records")]
        keys = {key: frame[key].tolist() for key in ("op", "dtype", "chip", "protocol", "library", "layout")}
        answer = HetBench().query_operators({**keys, "dims": given, "phase": ["fwd"] * len(frame)})
        for column, mine in (("value", "predicted"), ("lower", "lower"), ("upper", "upper")):
            np.testing.assert_allclose(answer[column], expected[mine], rtol=1e-9, err_msg=name)


def test_a_row_that_states_no_library_is_answered_by_the_cells_of_its_chip():
    row = complete(grid(1).assign(chip="nvidia-t4", dtype="fp32", library="", layout=""))
    dims = {name: int(row[name].iloc[0]) for name in operator_type(row.op[0]).dims}
    asked = operators.load().predict(row.op[0], "fp32", dims, chip("nvidia-t4"), protocol=row.protocol[0])
    found = served(row, operators.load(), "auto")
    assert asked.head == "full"
    assert found.level[0] == asked.level == "B"
    assert found.predicted[0] == asked.value[0]


def test_small_cells_are_not_drowned_by_large_ones():
    frame = grid(1000)
    frame.loc[:9, "chip"] = "nvidia-t4"
    chosen = frame.iloc[sample(frame, 100)]
    assert (chosen.chip == "nvidia-t4").sum() >= 5
    assert (sample(frame, 100) == sample(frame, 100)).all()


def test_the_peers_rows_are_grouped_as_they_were_trained():
    assert [neusight.group_of(c) for c in ("nvidia-t4", "nvidia-l4", "amd-mi100")] == [
        "seen chips",
        "unseen chips",
        "amd, zero-shot",
    ]
