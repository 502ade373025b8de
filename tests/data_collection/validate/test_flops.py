"""FLOPs of the twenty networks against hand counts, and against torch's counter where it sees the operators."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from data_collection.validate.flop_subjects import subjects  # noqa: E402
from data_collection.validate.flops import counted, main  # noqa: E402

SUBJECTS = {subject.name: subject for subject in subjects()}
MISSED_BY_TORCH = ("LSTM", "nn.TransformerEncoderLayer", "Attention")
"""Recurrent layers, a layer in one call and fused attention on the CPU are 0 in torch's counter."""


def test_there_are_twenty_networks():
    assert len(SUBJECTS) == 20


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_products_of_a_trace_are_those_counted_by_hand(name: str):
    assert counted("hetbench", SUBJECTS[name]) == SUBJECTS[name].by_hand


@pytest.mark.parametrize("name", ["MLP", "ResNet bottleneck", "Conv3d", "ConvTranspose2d", "GRU", "Products by einsum"])
def test_torchs_counter_agrees_where_it_has_formulas(name: str):
    assert counted("FlopCounterMode", SUBJECTS[name]) == SUBJECTS[name].by_hand


@pytest.mark.parametrize("name", MISSED_BY_TORCH)
def test_torchs_counter_misses_what_runs_in_one_call(name: str):
    assert counted("FlopCounterMode", SUBJECTS[name]) == 0


def test_one_counter_prints_its_figures(capsys):
    assert main(["--only", "FlopCounterMode"]) == 0
    assert capsys.readouterr().out.strip().startswith("[4194304.0")
