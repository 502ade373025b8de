"""The chip catalogue follows its tables: corrections replace single facts and say on what basis."""

from __future__ import annotations

import csv

import pytest

from data_collection.sources.chips import CORRECTIONS, correct
from hetbench.catalog.chips import NUMBERS, chips


def _corrections() -> list[dict[str, str]]:
    with CORRECTIONS.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_correction_replaces_the_fact_and_is_noted():
    rows = [{"canonical": "a", "mem_bw_gbs": "1759", "notes": "old"}]
    correct(rows, [{"canonical": "a", "fact": "mem_bw_gbs", "value": "1600", "basis": "sourced", "source": "a page"}])
    assert rows[0]["mem_bw_gbs"] == "1600"
    assert rows[0]["notes"] == "old; mem_bw_gbs sourced: a page"
    assert "estimated" not in rows[0]


def test_estimated_facts_are_listed_on_their_chip():
    rows = [{"canonical": "a"}]
    correct(rows, [
        {"canonical": "a", "fact": name, "value": "1", "basis": "estimated", "source": "a rule"}
        for name in ("boost_mhz", "l2_mb")
    ])  # fmt: skip
    assert rows[0]["estimated"] == "boost_mhz, l2_mb"


def test_a_correction_of_an_unknown_chip_fails():
    with pytest.raises(KeyError):
        correct([], [{"canonical": "a", "fact": "mem_gb", "value": "1", "basis": "sourced", "source": "a page"}])


def test_every_correction_is_in_the_catalogue_with_a_known_basis_and_a_source():
    for each in _corrections():
        assert each["basis"] in ("sourced", "derived", "estimated")
        assert each["source"]
        assert each["fact"] in NUMBERS
        assert getattr(chips()[each["canonical"]], each["fact"]) == float(each["value"])
