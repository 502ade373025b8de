"""The knowledge graph is built the same from the same rows, names where figures are from, and answers by evidence."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetbench.catalog import support
from hetbench.catalog.chips import Chip, chip, chips
from hetbench.catalog.models import models
from hetbench.cli import main
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.graphs import model_graph as graphs
from hetbench.knowledge.graph import RELATIONS, KnowledgeGraph, knowledge_graph
from hetbench.knowledge.signature import identifier, parse, sizes

pd = pytest.importorskip("pandas")
nx = pytest.importorskip("networkx")

NEUSIGHT = "sitar-lab/NeuSight@6945927:scripts/asplos/data/dataset"
TESTED = f"{NEUSIGHT}/test/linear.csv"
QKV = {"k": 768, "m": 512, "n": 2304}  # GPT-2's, at its default 512 tokens
QKV_NODE = "op:Linear(k=768,m=512,n=2304)@fp32"
"""Rows of sitar-lab/NeuSight and candle-org/candle, both MIT: dtype, k, m, n, chip, data set."""
CELLS = (
    ("fp32", 768, 512, 2304, "nvidia-t4", "neusight"), ("fp32", 768, 512, 2304, "nvidia-l4", "neusight"),
    ("fp32", 960, 512, 2880, "amd-mi210", "neusight"), ("fp32", 960, 512, 3840, "amd-mi210", "neusight"),
    ("fp32", 960, 512, 3840, "nvidia-t4", "neusight"),
    ("fp16", 4096, 2048, 4096, "huawei-ascend-910b3", "candle_910b3"),
)  # fmt: skip
TIMED = (
    ("nvidia-t4", 0.559061, TESTED, "MIT"), ("nvidia-l4", 0.293269, TESTED, "MIT"),
    ("nvidia-p4", 0.459776, TESTED, "all rights reserved"),
)  # fmt: skip
UPSTREAMS = {"neusight": ["sitar-lab/NeuSight@6945927"], "candle_910b3": ["candle-org/candle@72f5f0b"]}


def _built() -> dict[str, np.ndarray]:
    from surrogates.knowledge.build import build

    cells = pd.DataFrame(CELLS, columns=["dtype", "k", "m", "n", "chip", "dataset"])
    timed = pd.DataFrame(TIMED, columns=["chip", "latency_ms", "ref", "licence"])
    timed = timed.assign(dtype="fp32", **QKV, protocol="event", library="neusight", published_as=timed.chip)
    return build(("gpt2", "bert-tiny"), [("Linear", cells)], [("Linear", timed)], UPSTREAMS)


@lru_cache(maxsize=1)
def _small() -> KnowledgeGraph:
    return KnowledgeGraph(_built())


@pytest.fixture
def shipped() -> KnowledgeGraph:
    return knowledge_graph()


def _packed(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_building_twice_gives_the_same_bytes():
    assert _packed(_built()) == _packed(_built())


def test_the_order_of_the_rows_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    before = _packed(_built())
    monkeypatch.setattr(f"{__name__}.CELLS", CELLS[::-1])
    monkeypatch.setattr(f"{__name__}.TIMED", TIMED[::-1])
    assert _packed(_built()) == before


def test_only_rows_under_an_open_licence_give_a_value():
    found = {each.chip: each.value for each in _small().measured_on("Linear", QKV, "fp32")}
    assert found == {"nvidia-t4": 0.559061, "nvidia-l4": 0.293269}


def test_of_one_grid_cell_the_operator_that_most_chips_measured_stands_for_all():
    names = {node.id for node in _small().nodes()}
    assert "op:Linear(k=960,m=512,n=3840)@fp32" in names  # two chips
    assert "op:Linear(k=960,m=512,n=2880)@fp32" not in names  # the same powers of two, one of these chips
    facts = _small().measured_on("Linear", {"k": 960, "m": 512, "n": 3840}, "fp32")
    assert [(each.chip, each.value) for each in facts] == [("amd-mi210", None), ("nvidia-t4", None)]


def _staged() -> Any:
    """Rows as `corpus.clean` leaves them: a decode attention under two masks, on a chip that another stands in for."""
    duckdb = pytest.importorskip("duckdb")
    dims = {"batch": 1, "q_len": 1, "kv_len": 9, "heads": 2, "kv_heads": 2, "head_dim": 4, "window": 0}
    rows = [{**dims, "causal": causal, "latency_ms": value} for causal, value in ((0, 0.1), (1, 0.3))]
    said = {"op": "Attention", "dtype": "fp16", "chip": "huawei-ascend-910-unspecified", "dataset": "flagos_op",
            "protocol": "wall", "library": "x", "layout": "", "ref": "o/r@c:p", "licence": "MIT"}  # fmt: skip
    db = duckdb.connect()
    db.register("staged", pd.DataFrame([{**said, **row} for row in rows]).assign(canonical="huawei-ascend-910b"))
    return db


def test_a_row_is_at_the_chip_that_its_data_set_names_never_at_a_stand_in():
    from surrogates.knowledge.measured import cells, timed_rows

    ((op, table),) = cells(_staged())
    assert (op, list(table.chip), list(table.latency_ms)) == ("Attention", ["huawei-ascend-910-unspecified"], [0.2])
    signature = ("Attention", "fp16", (1, 0, 4, 2, 2, 9, 1, 0))
    ((_, rows),) = timed_rows(_staged(), {signature})
    assert (list(rows.chip.unique()), sorted(rows.latency_ms)) == (["huawei-ascend-910-unspecified"], [0.1, 0.3])


def test_the_full_graph_has_every_clean_row_as_an_edge(tmp_path: Path):
    pytest.importorskip("pyarrow")
    from surrogates.knowledge.parquet import write_full

    cells = pd.DataFrame(CELLS, columns=["dtype", "k", "m", "n", "chip", "dataset"])
    timing = {"latency_ms": 0.5, "protocol": "event", "library": "", "layout": "", "repeats": 1}
    write_full(_small(), [("Linear", cells.assign(**timing))], UPSTREAMS, tmp_path)
    nodes, edges = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("nodes", "edges"))
    timed = edges[(edges.relation == "performance") & edges.source.str.startswith("op:")]
    assert len(timed) == len(CELLS)
    assert nodes.id.is_unique
    assert set(edges.source) | set(edges.target) <= set(nodes.id)
    assert "op:Linear(k=960,m=512,n=2880)@fp32" in set(nodes.id)


def test_a_dim_that_published_rows_do_not_state_is_no_part_of_a_signature():
    assert identifier("Linear", {**QKV, "bias": 1}, "fp32") == QKV_NODE
    assert parse(QKV_NODE) == ("Linear", QKV, "fp32")
    with pytest.raises(InvalidInputError, match="write it like"):
        parse("op:Linear[512]")


def test_the_similarity_of_two_products_is_the_cosine_by_hand():
    mean, deviation = (np.array(row) for row in _small().store.meta["scales"]["gemm"])
    features = [  # log2 of b, m, n, k, flops = 2mnk, bytes = 4(mk + kn + mn), itemsize
        np.array([0, *np.log2([m, n, k, 2 * m * n * k, 4 * (m * k + k * n + m * n)]), 2])
        for m, n, k in ((512, 2304, 768), (512, 3840, 960))
    ]
    first, second = ((each - mean) / deviation for each in features)
    type_and_constant = 2 * 7  # each weighs as much as the seven features
    cosine = (first @ second + type_and_constant) / np.sqrt(
        (first @ first + type_and_constant) * (second @ second + type_and_constant)
    )
    found = {each.node: each.similarity for each in _small().nearest("Linear", QKV, "fp32")}
    assert found["op:Linear(k=960,m=512,n=3840)@fp32"] == pytest.approx(cosine, abs=1e-6)


@pytest.mark.parametrize("where", [_small, knowledge_graph])
def test_no_edge_dangles_and_every_performance_edge_has_a_reference(where: Any):
    store = where().store
    top = store.first + store.instances
    for relation in RELATIONS:
        for block in store.edges.blocks(relation):
            for end in (block.source, block.target):
                assert ((end >= 0) & (end < top)).all()
    for relation in ("performance", "measured-on"):
        for block in store.edges.blocks(relation):
            codes, table = block.attributes["refs"]
            assert all(table[code] for code in np.unique(codes))


def test_contains_edges_count_what_the_models_call(shipped: KnowledgeGraph):
    for name, precision in (("gpt2", "fp32"), ("resnet-50", "fp16")):
        edges = [e.attributes for e in shipped.neighbours(f"model:{name}", "contains")]
        counts = [e["count"] for e in edges if (e["phase"], e["precision"]) == ("inference", precision)]
        assert sum(counts) == len(graphs.load(name).nodes(precision=precision))


@pytest.mark.parametrize("name", ["gpt2", "resnet-50", "t5-base"])
def test_sequence_edges_are_the_data_flow_of_the_model(shipped: KnowledgeGraph, name: str):
    nodes = graphs.load(name).nodes(precision="fp16")
    ids = [identifier(node.op, node.dims, node.dtype) for node in nodes]
    flow = Counter((ids[at], own) for node, own in zip(nodes, ids, strict=True) for at in node.sources)
    setting = {"model": name, "phase": "inference", "precision": "fp16"}
    found = {(e.source, e.target): e.attributes["count"] for e in shipped.edges("sequence")
             if setting.items() <= e.attributes.items()}  # fmt: skip
    assert found == flow


def test_supports_edges_say_what_the_registrations_say(shipped: KnowledgeGraph):
    edges = list(shipped.edges("supports"))
    assert {edge.attributes["platform"] for edge in edges} == set(support.platforms())
    for edge in edges:
        known = edge.attributes
        if known["status"] != "unknown":
            real = support.support(known["platform"], known["operator"])
            assert (known["status"], edge.refs) == (real.status, real.refs)


def test_the_platform_of_every_chip_is_that_of_migration(shipped: KnowledgeGraph):
    for name, (family, kinds) in shipped.store.meta["platforms"].items():
        own = [each for each in chips().values() if each.family == family and each.kind in kinds]
        assert {support.platform_of(each) for each in own} == {name}


def test_whole_model_figures_are_those_of_the_evidence_table(shipped: KnowledgeGraph):
    found = [e for e in shipped.neighbours("model:mistral-7b", "performance")
             if e.target == "chip:nvidia-a100-sxm4-80gb" and e.attributes["use"] == "answer"]  # fmt: skip
    assert found[0].attributes["value"] == pytest.approx(63.3, abs=0.05)
    assert found[0].refs[0].startswith("huggingface/optimum-benchmark@")


def test_the_catalogue_of_the_graph_is_that_of_hetbench(shipped: KnowledgeGraph):
    counts = shipped.counts()["nodes"]
    assert (counts["chip"], counts["model"]) == (len(chips()), len(models()))
    contained = {edge.source for edge in shipped.edges("contains")}
    assert contained == {f"model:{name}" for name in models()}


def test_a_measured_operator_is_its_own_nearest(shipped: KnowledgeGraph):
    for edge in list(shipped.edges("performance"))[:: 40]:
        if edge.source.startswith("op:"):
            first = shipped.nearest(*parse(edge.source), k=1)[0]
            assert (first.node, first.similarity) == (edge.source, 1.0)


def test_nearest_on_a_chip_names_only_what_it_measured(shipped: KnowledgeGraph):
    found = shipped.nearest("Linear", QKV, "fp16", chip="cann", k=3)
    assert len(found) == 3
    assert all("huawei-ascend-910b3" in each.chips for each in found)
    assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)


def test_nearest_takes_at_least_one(shipped: KnowledgeGraph):
    with pytest.raises(InvalidInputError, match="k must be a whole number from 1; given: 0"):
        shipped.nearest("Linear", QKV, "fp16", k=0)


def test_what_costs_nothing_has_no_nearest(shipped: KnowledgeGraph):
    assert shipped.nearest("Dropout", {"numel": 8}, "fp16") == ()


def test_similarity_edges_are_what_nearest_answers(shipped: KnowledgeGraph):
    own = "op:Linear(k=768,m=512,n=2304)@fp16"
    edges = [e for e in shipped.neighbours(own, "similarity") if e.source == own]
    nearest = [each for each in shipped.nearest(*parse(own), k=6) if each.node != own]
    assert [(e.target, e.attributes["cosine"]) for e in edges] == [(n.node, n.similarity) for n in nearest[:5]]


def test_why_takes_the_measured_operator_first():
    path = _small().why("gpt2", "nvidia-t4", operators=[{"op": "Linear", "dims": QKV, "dtype": "fp32", "count": 12}])
    assert path.routes[0].basis == "measured"
    assert [(hop.relation, hop.target) for hop in path.routes[0].hops] == [
        ("contains", QKV_NODE), ("performance", "chip:nvidia-t4"),
    ]  # fmt: skip
    assert path.routes[0].hops[1].refs == (TESTED,)
    assert "0.5591 ms" in path.routes[0].hops[1].detail


def test_why_takes_the_most_similar_operator_of_the_chip_next():
    route = _small().why("gpt2", "amd-mi210", operators=[{"op": "Linear", "dims": QKV, "dtype": "fp32", "count": 1}])
    assert [hop.relation for hop in route.routes[0].hops] == ["contains", "similarity", "measured-on"]
    assert route.routes[0].hops[2].refs == ("sitar-lab/NeuSight@6945927",)


def test_why_on_a_chip_without_any_row_ends_in_its_datasheet(shipped: KnowledgeGraph):
    for route in shipped.why("bert-base", "cambricon-mlu370-x4").routes:
        assert route.basis == "registered"
        assert [hop.relation for hop in route.hops] == ["contains", "has-type", "supports", "of-family"]
        assert route.hops[-1].detail.startswith("datasheet")
        assert route.hops[-1].refs == (chip("cambricon-mlu370-x4").source,)


def test_why_of_a_chip_of_the_users_own_needs_no_node(shipped: KnowledgeGraph):
    own = Chip.from_mapping({"name": "my-npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800})
    route = shipped.why("gpt2", own, limit=1).routes[0]
    assert (route.basis, route.hops[-1].target) == ("registered", "chip:my-npu")
    assert "fp16 100 TFLOPS, 800 GB/s" in route.hops[-1].detail


def test_why_follows_the_shares_that_the_caller_gives(shipped: KnowledgeGraph):
    path = shipped.why("gpt2", "cuda", shares={"LayerNorm": 3.0, "Linear": 1.0})
    assert [(r.operator.split("(")[0], r.share) for r in path.routes] == [("op:LayerNorm", 0.75), ("op:Linear", 0.25)]


def test_why_shows_the_source_beside_the_target(shipped: KnowledgeGraph):
    path = shipped.why("gpt2", "cann", "cuda")
    assert path.source is not None
    assert path.source.chip == "nvidia-a100-sxm4-80gb"
    assert [r.operator for r in path.source.routes] == [r.operator for r in path.routes]


@pytest.mark.parametrize(("node", "message"), [
    ("model:gpt-2", "unknown model 'gpt-2'. Did you mean 'gpt2'"), ("chip:h100", "Did you mean 'nvidia-h100"),
    ("op:Linear(k=768,m=512,n=2305)@fp32", "Did you mean 'op:Linear"), ("gpt2", "unknown node"),
    ("op:Liner(m=1)@fp32", "Did you mean 'Linear'"),
])  # fmt: skip
def test_an_unknown_node_names_the_nearest(shipped: KnowledgeGraph, node: str, message: str):
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        shipped.node(node)


def test_an_unknown_relation_and_format_are_named(shipped: KnowledgeGraph, tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'similarity'"):
        shipped.neighbours("model:gpt2", "similar")
    with pytest.raises(UnknownNameError, match="graphml, json"):
        shipped.export(tmp_path / "out", "dot")


def _same(read: Any, graph: KnowledgeGraph) -> None:
    counts = graph.counts()
    assert Counter(nx.get_node_attributes(read, "label").values()) == +Counter(counts["nodes"])
    assert Counter(kind for *_, kind in read.edges(data="relation")) == +Counter(counts["edges"])
    assert read.nodes["chip:nvidia-l4"]["mem_gb"] == 24
    (facts,) = [data for _, end, data in read.out_edges(QKV_NODE, data=True)
                if (data["relation"], end) == ("performance", "chip:nvidia-l4")]  # fmt: skip
    assert (facts["value"], facts["refs"]) == (0.293269, TESTED)


def test_networkx_reads_graphml_and_json_back(tmp_path: Path):
    for format in ("graphml", "json"):
        _small().export(tmp_path / format, format)
    _same(nx.read_graphml(tmp_path / "graphml"), _small())
    _same(nx.node_link_graph(json.loads((tmp_path / "json").read_text()), edges="edges"), _small())


def test_it_is_a_networkx_graph():
    _same(_small().to_networkx(), _small())


def test_the_cypher_file_holds_every_node_once_and_every_edge(tmp_path: Path):
    _small().export(tmp_path / "out.cypher", "cypher")
    text = (tmp_path / "out.cypher").read_text(encoding="utf-8")
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    assert all(bare.count(left) == bare.count(right) for left, right in ("[]", "{}", "()"))
    statements = [each for each in bare.split(";\n") if each]
    assert all(each.startswith(("CREATE CONSTRAINT", "UNWIND [")) for each in statements)
    ids = re.findall(r'^\{id: ("(?:[^"\\]|\\.)*")', text, re.MULTILINE)
    counts = _small().counts()
    assert len(ids) == len(set(ids)) == sum(counts["nodes"].values())
    ends = re.findall(r'^\{source: ("(?:[^"\\]|\\.)*"), target: ("(?:[^"\\]|\\.)*"), facts', text, re.MULTILINE)
    assert len(ends) == sum(counts["edges"].values())
    assert {end for pair in ends for end in pair} <= set(ids)


def test_the_shipped_graph_is_small_and_holds_no_latency_of_other_operators(shipped: KnowledgeGraph):
    assert (Path(support.TABLE).parent / "knowledge.npz").stat().st_size < 2.5e6
    contained = {edge.target for edge in shipped.edges("contains")}
    assert {e.source for e in shipped.edges("performance") if e.source.startswith("op:")} <= contained
    assert [set(block.attributes) for block in shipped.store.edges.blocks("measured-on")] == [{"refs"}]


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert not done.value.code
    return capsys.readouterr().out


def test_the_shell_answers_as_the_library(capsys: pytest.CaptureFixture[str], shipped: KnowledgeGraph, tmp_path: Path):
    assert json.loads(_run(capsys, "graph", "counts", "--json")) == shipped.counts()
    out = _run(capsys, "graph", "neighbours", "model:bert-tiny", "--relation", "contains")
    assert len(out.splitlines()) == len(shipped.neighbours("model:bert-tiny", "contains"))
    out = _run(capsys, "graph", "nearest", "Linear", "m=512", "n=2304", "k=768", "--precision", "fp32", "--json")
    assert json.loads(out)[0]["node"] == QKV_NODE
    out = _run(capsys, "graph", "why", "gpt2", "--target", "cann", "--json")
    assert json.loads(out) == json.loads(json.dumps(shipped.why("gpt2", "cann").to_dict()))


def test_explain_shows_the_path_of_evidence_below_the_answer(capsys: pytest.CaptureFixture[str]):
    sides = ("query", "qwen2.5-7b", "--source", "cuda", "--source-value", "21.3", "--target", "cann", "--explain")
    out = _run(capsys, *sides)
    assert "21.3 ms on nvidia-a100-sxm4-80gb" in out
    assert "-similarity-> op:Linear" in out
    assert "candle-org/candle@72f5f0b" in out
    assert len(json.loads(_run(capsys, *sides, "--json"))["explain"]["routes"]) == 5


def test_explain_of_a_measured_answer_is_its_row(capsys: pytest.CaptureFixture[str]):
    setting = "--phase prefill --seq-len 512 --precision fp16 --stack eager --metric latency --explain --json"
    out = _run(capsys, "query", "mistral-7b", "--target", "nvidia-a100-sxm4-80gb", *setting.split())
    answer = json.loads(out)
    assert answer["level"] == "A"
    assert answer["explain"]["rows"][0]["refs"] == answer["refs"]
    assert answer["explain"]["routes"] == []


def test_explain_takes_networks_beyond_the_catalogue(capsys: pytest.CaptureFixture[str]):
    out = _run(capsys, "query", "convnext_tiny", "--target", "cuda", "--metric", "latency", "--explain")
    assert "model:convnext_tiny -contains-> op:" in out


def test_sizes_of_a_single_query_ignore_the_mask():
    dims = {"batch": 1, "q_len": 1, "kv_len": 9, "heads": 2, "kv_heads": 2, "head_dim": 4}
    assert sizes("Attention", {**dims, "causal": 1}) == sizes("Attention", dims)
