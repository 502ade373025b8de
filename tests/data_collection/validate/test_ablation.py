"""Models without a group of operators: what is skipped, and what the comparison with the attribution says."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.overrides import TorchFunctionMode  # noqa: E402

from data_collection.backends import picked  # noqa: E402
from data_collection.profile.tasks import Grid, model_tasks  # noqa: E402
from data_collection.validate.ablation import FUNCTIONS, Ablation, saved  # noqa: E402
from data_collection.validate.attribution import Group, rank_agreement, report, shares  # noqa: E402
from hetbench.catalog.chips import chip  # noqa: E402


class NewGELUActivation(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return 0.5 * x * (1 + torch.tanh(x + x**3))


class Counted(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.ran: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ran[getattr(func, "__name__", "")] += 1
        return func(*args, **(kwargs or {}))


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    made = torch.nn.Sequential(torch.nn.Linear(8, 16), NewGELUActivation(), torch.nn.Linear(16, 8), torch.nn.ReLU())
    return made.eval()


def second_pass(group: str | None) -> tuple[Counter[str], Any]:
    """What a second pass still calls, and its result."""
    ablation = Ablation()
    changed, x = ablation(network()), torch.ones(2, 8)
    with torch.no_grad(), Counted() as counted:
        ablation.group = group
        changed(x)
        counted.ran.clear()
        return counted.ran, changed(x)


def test_a_network_without_nothing_calls_all_its_functions_and_gives_its_result():
    ran, out = second_pass(None)
    assert (ran["linear"], ran["relu"], ran["tanh"]) == (2, 1, 1)
    torch.testing.assert_close(out, network()(torch.ones(2, 8)))


def test_a_group_that_is_left_out_is_not_called_again_and_the_rest_is():
    ran, out = second_pass("Linear")
    assert (ran["linear"], ran["relu"], ran["tanh"]) == (0, 1, 1)
    assert out.shape == (2, 8)


def test_an_activation_of_several_functions_is_one_operator():
    ran, _ = second_pass("GELU")
    assert (ran["linear"], ran["relu"], ran["tanh"]) == (2, 1, 0)
    assert second_pass("Tanh")[0]["tanh"] == 1  # inside the activation it belongs to it


def test_a_pass_without_its_products_saves_most_of_it():
    (task,), _ = model_tasks(["distilbert-base"], Grid(seq_len=[64], threads=[1], protocol="wall"))
    whole, found = saved(picked("oneapi"), task, ["Linear", "Embedding"], 0.0)
    assert whole > 1
    assert [len(each) for each in found.values()] == [8, 8]
    assert median(found["Linear"]) > 50 > median(found["Embedding"])


def test_shares_are_of_groups_that_can_be_left_out_and_sum_to_the_pass():
    found = shares("bert-tiny", chip("amd-epyc-zen4-2vcpu-kvm"))
    assert set(found) <= set(FUNCTIONS.values())
    for place in (0, 1):
        assert sum(each[place] for each in found.values()) == pytest.approx(100, abs=0.5)


def test_the_report_ranks_the_groups_of_each_model():
    rows = [Group("gpt2", "Linear", 80.0, 85.0, 70.0, 69.0, 71.0), Group("gpt2", "Add", 10.0, 8.0, 20.0, 19.0, 21.0)]
    assert rank_agreement(rows) == 1.0
    text = report(rows, "a chip", "torch")
    assert "| gpt2 | Linear | 80.0 | 85.0 | 70.0 | 69.0 .. 71.0 |" in text
    assert "| gpt2 | 2 | 1.00 | Linear | Linear | 10.0 |" in text
