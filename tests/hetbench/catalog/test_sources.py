"""Every upstream is named with its licence, and nothing in the evidence comes from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hetbench.catalog import evidence
from hetbench.catalog.sources import sources
from hetbench.schema import FAMILIES

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"
REPOSITORIES = {source.repository: source for source in sources().values() if source.repository}


def test_every_measured_row_is_from_a_listed_repository_at_a_listed_commit():
    for repository, commit in {tuple(row.ref.split(":")[0].split("(")[0].split("@")) for row in evidence.rows()}:
        assert repository in REPOSITORIES
        assert repository == "hetbench" or commit in REPOSITORIES[repository].commits  # own rows name their run


def test_the_evidence_of_all_sources_adds_up_to_the_table():
    assert sum(source.evidence_rows for source in sources().values()) == len(evidence.rows())


@pytest.mark.parametrize("source", sources().values(), ids=sources())
def test_a_source_says_where_it_is_what_it_gives_and_about_which_families(source):
    assert source.title
    assert source.gives
    assert set(source.families) <= {*FAMILIES, "other"}
    assert source.operator_rows + source.model_rows + source.registrations + source.chip_facts > 0
    if source.name == "own":  # rows name the run instead
        assert (source.repository, source.commits) == ("hetbench", ())
        return
    assert source.repository is None or re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository)
    assert bool(source.commits) == bool(source.repository)
    assert all(re.fullmatch(r"[0-9a-f]{7,}", commit) for commit in source.commits)


def test_a_licence_that_nobody_stated_is_unknown_and_every_measured_row_has_one():
    assert sources()["torch-mlu"].licence is None
    assert all(s.licence for s in sources().values() if s.operator_rows or s.model_rows)


def test_hand_checked_entries():
    assert (sources()["miopen"].operator_rows, sources()["miopen"].licence) == (1_025_916, "MIT")
    assert (sources()["timm"].model_rows, sources()["timm"].repository) == (44_982, "huggingface/pytorch-image-models")
    assert sources()["openvino"].commits == ("057031f1f1", "178f7fa645", "d45251740f")
    assert sources()["neusight"].families == ("cuda", "rocm")


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus lies beside the project, not in it")
@pytest.mark.parametrize(("folder", "column"), [("op", "operator_rows"), ("model", "model_rows")])
def test_the_counts_are_those_of_the_corpus(folder: str, column: str):
    duckdb = pytest.importorskip("duckdb")
    query = f"select split_part(ref, '@', 1), count(*) from '{CORPUS}/{folder}/*.parquet' group by 1"
    counted = dict(duckdb.sql(query).fetchall())
    listed = {name: getattr(source, column) for name, source in REPOSITORIES.items() if name != "hetbench"}
    assert {name: counted.get(name) for name, count in listed.items() if count} == {
        name: count for name, count in listed.items() if count
    }  # fmt: skip
