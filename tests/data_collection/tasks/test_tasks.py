"""Tasks: what they are read from, what is compared, and a run on the CPU from the command to the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("transformers")

import torch
import transformers

from data_collection.backends import Backend
from data_collection.profile.tasks import Grid, Task, model_tasks
from data_collection.tasks import accuracy, numeric, perf
from data_collection.tasks.__main__ import main
from data_collection.tasks.evaluate import failed
from data_collection.tasks.workload import FOLDER, named, names, read
from hetbench.catalog.models import model, models
from hetbench.errors import InvalidInputError, RefusedError

CHIP = ("--chip", "amd-epyc-zen4-2vcpu-kvm")
BYTE_MLPERF = {
    "model": "bert-torch-fp32", "test_perf": True, "test_accuracy": True, "test_numeric": True, "clients": 3,
    "iterations": 100, "batch_sizes": [1, 4, 8, 16, 32, 64], "data_percent": 50, "compile_only": False,
}  # fmt: skip


def task(precision: str = "fp32", **changes: Any) -> Task:
    (made,), _ = model_tasks(["bert-tiny"], Grid(precision=[precision], seq_len=[16], threads=[1]))
    return replace(made, **changes)


def file(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


# what a task is


def test_every_model_of_the_catalogue_has_a_task_in_each_precision_and_all_can_be_read():
    assert len(names()) == 5 * len(models())
    assert [named(name).name for name in names()] == names()


def test_a_task_file_holds_only_what_differs_from_the_default():
    tiny, base = named("bert-tiny-fp32"), named("bert-tiny-bf16")
    assert (tiny.batch_sizes, base.batch_sizes) == ((1, 8, 32), (1, 8))
    assert (tiny.iterations, tiny.framework) == (base.iterations, base.framework) == (100, "eager")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*-*.toml")), ids=lambda path: path.stem)
def test_every_task_file_of_the_project_is_of_a_task(path: Path):
    assert read(path).name == path.stem


def test_an_int8_task_runs_on_a_stack_that_quantises():
    assert (named("bert-tiny-int8").framework, named("bert-tiny-fp32").framework) == ("onnxruntime", "eager")


def test_a_model_is_found_by_any_of_its_names():
    assert named("bert-base-uncased-float32").name == "bert-base-fp32"


def test_a_workload_of_byte_mlperf_becomes_the_same_task(tmp_path: Path):
    found = read(file(tmp_path, "bert.json", json.dumps(BYTE_MLPERF)))
    assert (found.name, found.framework, found.clients, found.data_percent) == ("bert-base-fp32", "eager", 3, 50)
    assert found.batch_sizes == (1, 4, 8, 16, 32, 64)


@pytest.mark.parametrize(("name", "stack", "expected"), [
    ("resnet50-torch-fp32", "eager", "resnet-50-fp32"), ("albert-pytorch-fp16", "eager", "albert-base-fp16"),
    ("roberta-onnx-fp32", "onnxruntime", "roberta-base-fp32"), ("gpt2-torch-fp32", "eager", "gpt2-fp32"),
])  # fmt: skip
def test_names_of_byte_mlperf_mean_catalogue_models(tmp_path: Path, name: str, stack: str, expected: str):
    found = read(file(tmp_path, "w.json", json.dumps({**BYTE_MLPERF, "model": name})))
    assert (found.name, found.framework) == (expected, stack)


@pytest.mark.parametrize(("change", "said"), [
    ({"model": "widedeep-torch-fp32"}, "unknown model 'widedeep'"),
    ({"model": "bert"}, "name-framework-precision"),
    ({"model": "bert-tf-fp32"}, "unknown framework 'tf'"),
    ({"model": "bert-torch-int8"}, "eager does not quantise a network; an int8 task runs on onnxruntime or openvino"),
    ({"batch_sizes": []}, "batch_sizes=.. must be a list of whole numbers"),
    ({"batch_sizes": [1, 0]}, "must be a list of whole numbers"),
    ({"clients": True}, "clients=True must be a whole number above 0"),
    ({"test_perf": "yes"}, "test_perf='yes' must be true or false"),
    ({"data_percent": 0}, "data_percent=0 must be above 0"),
])  # fmt: skip
def test_a_workload_that_cannot_be_meant_says_why(tmp_path: Path, change: dict[str, Any], said: str):
    path = file(tmp_path, "w.json", json.dumps({**BYTE_MLPERF, **change}))
    with pytest.raises(Exception, match=said) as caught:
        read(path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("text", "said"), [
    ("batch_sizes = [1", "is not TOML"),
    ("batchsizes = [1]", "Did you mean 'batch_sizes'"),
    ('model = "bert-tinny"', "Did you mean 'bert-tiny'"),
    ("thresholds = 3", "thresholds must be"),
    ("thresholds = { fp32 = { cosine = 1 } }", "thresholds must be"),
    ("thresholds = { fp32 = { cosine = nan, max_rel = 1 } }", "thresholds must be"),
    ("thresholds = { fp23 = { cosine = 1, max_rel = 1 } }", "thresholds must be"),
])  # fmt: skip
def test_a_task_file_that_cannot_be_meant_says_why(tmp_path: Path, text: str, said: str):
    with pytest.raises(Exception, match=said):
        read(file(tmp_path, "bert-tiny-fp32.toml", text))


def test_a_file_without_a_model_in_text_or_name_says_what_to_write(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="names no model"):
        read(file(tmp_path, "mine.toml", "clients = 2"))


# speed


def test_figures_are_those_of_the_calls_and_few_calls_have_no_p99():
    assert perf.figures([2.0, 4.0, 6.0], batch=8) == {"qps": 2000.0, "avg_ms": 4.0, "p50_ms": 4.0, "p99_ms": None}
    assert perf.figures([float(n) for n in range(1, 102)], batch=1)["p99_ms"] == pytest.approx(100.0)


def test_a_disturbed_row_gives_no_figure_though_its_repeats_are_there():
    row = {"status": "disturbed", "reason": "others", "batch": 1, "raw_ms": [1.0] * 100, "repeats": 100,
           "spread": None, "peak_memory_bytes": 5, "library": "MKL"}  # fmt: skip
    found = perf.of_row(row)
    assert [found[name] for name in perf.FIGURES] == [None] * 4
    assert perf.of_row({**row, "status": "ok"})["qps"] == 1000.0


def test_every_call_of_every_client_is_counted(cpu: Backend):
    found, seen = perf.concurrent(cpu, task(), clients=3, iterations=40)
    assert found["p99_ms"] >= found["p50_ms"] > 0
    assert found["qps"] > 0
    assert seen.canary_ms > 0
    assert len(perf._calls(cpu, lambda: None, 3, 40)) == 120


def test_a_client_that_fails_is_not_hidden(cpu: Backend):
    with pytest.raises(ZeroDivisionError):
        perf._calls(cpu, lambda: 1 / 0, 2, 3)


# numeric


def test_the_same_precision_and_stack_give_the_reference_itself(cpu: Backend):
    outputs = numeric.compare(cpu, task())
    assert [each["shape"] for each in outputs] == [[1, 16, 128], [1, 128]]
    assert all(each["max_abs"] == 0 and numeric.passes(each, {"cosine": 1, "max_rel": 0}) for each in outputs)


def test_a_half_precision_differs_by_about_its_rounding(cpu: Backend):
    for each in numeric.compare(cpu, task("bf16")):
        assert 1e-4 < each["max_rel"] < 0.1
        assert 0.999 < each["cosine"] < 1


def test_differences_are_those_of_the_definition():
    found = numeric.differences(np.array([3.0, 4.5]), np.array([3.0, 4.0]))
    assert found["max_abs"] == 0.5
    assert found["max_rel"] == 0.125
    assert found["mse"] == 0.125
    assert found["cosine"] == pytest.approx(27 / (5 * 29.25**0.5))


@pytest.mark.parametrize(("found", "fault"), [([1.0, np.nan], "not finite"), ([1.0], "shape [1]")])
def test_outputs_that_cannot_be_compared_fail_and_have_no_figure(found: list[float], fault: str):
    output = numeric.differences(np.array(found), np.array([1.0, 2.0]))
    assert (output["fault"], output["max_abs"]) == (fault, None)
    assert not numeric.passes(output, {"cosine": -1, "max_rel": 9e9})


# accuracy


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """bert-tiny with a head, trained to tell sequences of low tokens from sequences of high ones."""
    from safetensors.torch import save_file

    folder, record = tmp_path_factory.mktemp("trained"), model("bert-tiny")
    torch.manual_seed(0)
    network = transformers.BertForSequenceClassification(transformers.BertConfig(**record.config, num_labels=2))
    labels = torch.arange(64) % 2
    tokens = torch.randint(1, 1000, (64, 12)) + 1000 * labels[:, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(12):
        network.zero_grad()
        network(input_ids=tokens, labels=labels).loss.backward()
        optimizer.step()
    save_file(network.state_dict(), folder / "w.safetensors")
    wrong = torch.where(torch.arange(64) < 8, 1 - labels, labels)
    np.savez(folder / "d.npz", input_ids=tokens.numpy(), labels=wrong.numpy())
    return folder / "w.safetensors", folder / "d.npz"


def test_the_right_answers_of_a_trained_network_are_counted(cpu: Backend, trained: tuple[Path, Path]):
    found = accuracy.score(cpu, task("bf16", batch=10), *trained, percent=100)
    assert (found["samples"], found["right"], found["reference_right"]) == (64, 56, 56)  # eight labels are wrong
    assert found["lower"] < found["accuracy"] == 56 / 64 < found["upper"]


def test_a_percentage_takes_the_first_samples(cpu: Backend, trained: tuple[Path, Path]):
    found = accuracy.score(cpu, task(), *trained, percent=25)
    assert (found["samples"], found["of_samples"], found["right"]) == (16, 64, 8)


def test_a_generating_model_is_scored_on_its_next_token(cpu: Backend):
    scores = torch.zeros(1, 4, 10)
    scores[0, torch.arange(4), torch.tensor([5, 6, 9, 1])] = 1.0
    answer = transformers.modeling_outputs.CausalLMOutput(logits=scores)
    samples = {"input_ids": torch.tensor([[4, 5, 6, 7]]), "labels": torch.tensor([[4, 5, 6, -100]])}
    assert accuracy._right(lambda given: answer, samples, 1, model("gpt2")) == (2, 2)


@pytest.mark.parametrize(("arrays", "said"), [
    ({"labels": [1]}, "lacks input_ids"),
    ({"input_ids": [[1], [2]], "labels": [1]}, "one entry a sample"),
    ({"input_ids": [[1]], "labels": [0.5]}, "labels must be whole numbers"),
])  # fmt: skip
def test_a_data_set_that_cannot_be_meant_says_why(tmp_path: Path, arrays: dict[str, Any], said: str):
    np.savez(tmp_path / "d.npz", **{name: np.array(value) for name, value in arrays.items()})
    with pytest.raises(InvalidInputError, match=said):
        accuracy.check_files(model("bert-tiny"), tmp_path / "w.safetensors", tmp_path / "d.npz")


def test_weights_that_do_not_fit_are_refused(cpu: Backend, trained: tuple[Path, Path], tmp_path: Path):
    from safetensors.torch import load_file, save_file

    state = load_file(trained[0])
    state.pop("bert.pooler.dense.bias")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InvalidInputError, match=r"lacks \['bert.pooler.dense.bias'\]"):
        accuracy.score(cpu, task(), tmp_path / "w.safetensors", trained[1], percent=100)


def test_models_without_labels_of_classes_are_refused():
    with pytest.raises(RefusedError, match=r"clip-vit-l-14: text\+image"):
        accuracy.check_files(model("clip-vit-l-14"), Path("w"), Path("d"))


# from the command to the report


def run(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    hasty = ("--patience", "0", "--retries", "0", "--seconds", "0.2", "--store", str(folder / "store"), *CHIP)
    code = main(["run", "--hardware", "cpu", "--output", str(folder / "out"), *words, *hasty])
    return code, json.loads((folder / "out" / "report.json").read_text())


def test_a_run_writes_a_report_and_a_page_and_rows_of_the_store(tmp_path: Path, trained: tuple[Path, Path]):
    path = file(tmp_path, "bert-tiny-fp32.toml", "batch_sizes = [1]\niterations = 10")
    weights, data = map(str, trained)
    code, report = run(tmp_path, "--task", str(path), "--weights", weights, "--data", data)
    assert (report["numeric"]["status"], report["accuracy"]["right"]) == ("passed", 56)
    (row,) = report["perf"]
    assert row["status"] in ("ok", "disturbed")
    assert (row["qps"] is None) == (row["status"] == "disturbed") == bool(code)
    assert row["peak_memory_bytes"] > 0
    page = (tmp_path / "out" / "summary.html").read_text()
    assert all(f">{title}</h2>" in page for title in ("Task", "Speed", "Numeric", "Accuracy"))
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["report.json", "summary.html"]
    assert list((tmp_path / "store" / "parts").glob(f"{report['run']}*.parquet"))


def test_compile_only_builds_and_measures_nothing(tmp_path: Path):
    path = file(tmp_path, "bert-tiny-bf16.toml", "batch_sizes = [1]")
    code, report = run(tmp_path, "--task", str(path), "--compile-only")
    assert (code, report["compile"]) == (0, [{"batch": 1, "status": "ok", "reason": None}])
    assert not {"perf", "numeric", "accuracy"} & set(report)
    assert not (tmp_path / "store").exists()


def test_accuracy_without_files_is_skipped_with_the_reason(tmp_path: Path):
    path = file(tmp_path, "bert-tiny-fp32.toml", "test_perf = false\ntest_numeric = false")
    code, report = run(tmp_path, "--task", str(path))
    assert code == 0
    assert report["accuracy"] == {
        "status": "skipped", "reason": "accuracy needs trained weights and a data set: --weights, --data"
    }  # fmt: skip


def test_a_part_that_failed_or_was_disturbed_makes_the_task_fail():
    assert not failed({"numeric": {"status": "passed"}, "accuracy": {"status": "skipped"}, "perf": [{"status": "ok"}]})
    assert failed({"numeric": {"status": "failed"}})
    assert failed({"perf": [{"status": "ok"}, {"status": "oom"}]})


@pytest.mark.parametrize(("words", "said"), [
    (["--task", "bert-tinny-fp32"], "Did you mean 'bert-tiny-fp32'"),
    (["--task", "nothere.toml"], "cannot read the task file nothere.toml"),
    (["--hardware", "cup"], "unknown hardware 'cup'. Did you mean 'cpu'"),
    (["--output", "/proc/out"], "Name a writable directory: --output DIR"),
    (["--weights", "w.safetensors"], "both --weights"),
    (["--weights", "w.safetensors", "--data", "nothere.npz"], "cannot read the data nothere.npz"),
])  # fmt: skip
def test_wrong_usage_says_what_would_be_right_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    usual = ["--task", "bert-tiny-fp32", "--hardware", "cpu", "--output", str(tmp_path / "out")]
    assert main(["run", *usual, "--store", str(tmp_path / "store"), *CHIP, *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_tasks_and_hardware_are_shown(capsys: pytest.CaptureFixture[str]):
    assert main(["--show-tasks", "--show-hardware"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "bert-base-fp32" in shown
    assert "cpu\tavailable" in shown
    assert any(line.startswith("cann\t") for line in shown)
