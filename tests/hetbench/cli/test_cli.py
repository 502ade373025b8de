"""The shell answers as the library does: pure JSON on stdout, one teaching message on stderr, telling exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import hetbench
from hetbench import ArtifactError, HetBench, __version__
from hetbench.artifacts import integrity, sets
from hetbench.attribution.copa import DEPTH, GROUPINGS
from hetbench.cli.app import COMMANDS, app, application
from hetbench.kernel import describe
from hetbench.knowledge import RELATIONS
from hetbench.knowledge.export import FORMATS
from hetbench.migration import OBJECTIVES
from hetbench.plans.search import METHODS
from hetbench.query import PREDICTORS
from hetbench.schema import PROTOCOLS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_module_has_the_commands_of_the_table_that_says_which_to_load(name: str):
    made: Any = get_command(application((name,)))
    assert tuple(made.commands) == COMMANDS[name]


def test_a_command_loads_no_module_of_another():
    code = "import sys, contextlib; from hetbench.cli import main\n"
    code += "with contextlib.suppress(SystemExit): main(['metrics'])\n"
    code += "print([name for name in ('hetbench.cli.artifacts', 'http.client', 'tomllib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_query_prints_the_answer_of_the_library(run: Any):
    sides = ("--source", "cuda", "--target", "cann", "--batch", "3")
    code, out, _ = run("query", "resnet-50", *sides, "--metric", "latency")
    assert code == 0
    assert str(HetBench().query("resnet-50", "cuda", "cann", "latency", batch=3)) in out


def test_a_query_prints_pure_json(run: Any):
    code, out, err = run("query", "gpt2", "--target", "rocm", "--metric", "latency", "--json")
    assert (code, err) == (0, "")
    answer = HetBench().query("gpt2", target="rocm", metric="latency")
    assert json.loads(out) == json.loads(json.dumps(answer.to_dict()))


def test_without_a_metric_all_are_printed_and_the_refused_say_why(run: Any):
    code, out, _ = run("query", "resnet152", "--source", "cuda", "--target", "mlu", "--batch", "3")
    assert code == 0
    assert all(word in out for word in ("latency", "throughput", "energy", "ratio", "refused: memory"))
    read = json.loads(run("query", "gpt2", "--target", "cann", "--batch", "3", "--json")[1])
    assert set(read) == {"answers", "refused"}


def test_an_operator_is_answered(run: Any):
    dims = ("m=128", "n=3072", "k=768")
    code, out, _ = run("operator", "Linear", *dims, "--device", "amd-mi210", "--precision", "fp32", "--json")
    assert code == 0
    assert json.loads(out)["operator"] == "Linear"


@pytest.mark.parametrize(("name", "least"), [
    ("models", 34), ("networks", 1400), ("chips", 191), ("operators", 40), ("metrics", 8), ("sources", 5),
])  # fmt: skip
def test_listings_are_complete_in_json_and_readable_as_tables(run: Any, name: str, least: int):
    code, out, _ = run(name, "--json")
    assert code == 0
    assert len(json.loads(out)) >= least
    code, out, _ = run(name)
    assert code == 0
    assert len(out.splitlines()) > least


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (("query", "gpt3", "--target", "cuda"), 2, "unknown model 'gpt3'"),
    (("query", "gpt2", "--target", "cudaa"), 2, "unknown chip 'cudaa'"),
    (("query", "gpt2", "--target", "cuda", "--metric", "latncy"), 2, "Did you mean 'latency'"),
    (("query", "gpt2"), 2, "no chip to answer for"),
    (("query", "gpt2", "--target", "cuda", "--batch", "0"), 2, "batch must be"),
    (("query", "gpt2", "--target", "cuda", "--batch", "x"), 2, "batch"),
    (("query", "gpt2", "--colour", "red"), 2, "colour"), (("paint",), 2, "paint"),
    (("operator", "Linear", "m", "--device", "cuda"), 2, "name=value"),
    (("operator", "Linear", "m=1", "n=1", "k=1"), 2, "--device"),
    (("query", "gpt2", "--target", "nvidia-v100-sxm2-16gb", "--precision", "bf16"), 3, "no bf16 units"),
    (("query", "resnet152", "--target", "cann", "--metric", "memory"), 3, "auxiliary graph"),
    (("explain", "gpt2"), 2, "no chip to answer for"),
    (("explain", "gpt2", "--target", "cann", "--by", "kind"), 2, "unknown grouping 'kind'"),
    (("explain", "resnet152", "--target", "cann"), 3, "auxiliary graph"),
    (("coverage", "gpt2", "--target", "intel-core-ultra-7-165h-npu"), 3, "no operator registrations"),
    (("coverage", "gpt2"), 2, "no chip to answer for"),
    (("migrate", "gpt2", "--slo", "fast"), 2, "such as 50ms; given: 'fast'"),
    (("migrate", "gpt2", "--targets", "mlu", "--objective", "speed"), 2, "unknown objective 'speed'"),
    (("migrate",), 2, "Missing argument"),
    (("migrate", "mistral-7b", "--targets", "nvidia-rtx-3080-10gb"), 3, "needs 14.5 GB of 10 GB"),
])  # fmt: skip
def test_errors_are_one_message_on_stderr_with_a_telling_exit_code(
    run: Any, arguments: tuple[str, ...], code: int, message: str
):
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_an_explanation_is_that_of_the_library(run: Any):
    code, out, err = run("explain", "resnet-50", "--source", "cuda", "--target", "cann", "--json")
    assert (code, err) == (0, "")
    found = HetBench().explain("resnet-50", "cuda", "cann")
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    code, out, _ = run("explain", "resnet-50", "--source", "cuda", "--target", "cann")
    assert (code, out.rstrip()) == (0, str(found))


def test_coverage_is_that_of_the_library(run: Any):
    code, out, err = run("coverage", "gpt2", "--target", "cann", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(HetBench().coverage("gpt2", "cann").to_dict()))
    code, out, _ = run("coverage", "gpt2", "--target", "cann")
    assert code == 0
    assert "composite, via native_layer_norm" in out


def test_a_migration_of_one_model_and_of_a_fleet(run: Any):
    code, out, err = run("migrate", "gpt2", "--source", "cuda", "--targets", "mlu", "--slo", "0.05s", "--json")
    assert (code, err) == (0, "")
    found = HetBench().migrate("gpt2", "cuda", "mlu", slo_ms=50.0)
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    code, out, _ = run("migrate", "gpt2", "bert-base", "--targets", "cann,mlu", "--slo", "20ms", "--limit", "3")
    assert code == 0
    assert "2 models by latency, deadline 20 ms" in out
    assert "more" in out


def test_a_chip_is_taken_from_its_datasheet(run: Any, tmp_path: Path):
    sheet = tmp_path / "npu.toml"
    sheet.write_text('name = "my-npu"\nfamily = "cann"\nfp16_tflops = 100\nmem_bw_gbs = 800\n')
    code, out, _ = run("query", "gpt2", "--source", "cuda", "--chip-file", str(sheet), "--metric", "latency", "--json")
    assert code == 0
    assert json.loads(out)["chip"] == "my-npu"
    code, _, err = run("query", "gpt2", "--chip-file", str(tmp_path / "none.toml"), "--metric", "latency")
    assert (code, "cannot read" in err) == (2, True)


def test_a_damaged_artefact_has_an_exit_code_of_its_own(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hetbench.predict import operators

    monkeypatch.setattr(operators, "EMBEDDED", tmp_path)
    operators.load.cache_clear()  # and a batch that nobody else asks for, since answers are kept
    code, _, err = run("query", "gpt2", "--target", "rocm", "--metric", "latency", "--batch", "37")
    operators.load.cache_clear()
    assert (code, "operators.json" in err) == (4, True)


def test_the_package_runs_as_a_module_without_heavy_imports():
    names = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hetbench", "metrics", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(names.stdout)[0]["name"] == "latency"
    loaded = {line.split("|")[-1].strip() for line in names.stderr.splitlines()}
    assert not loaded & {"torch", "pandas", "pyarrow", "autogluon"}


def test_the_version_is_printed(run: Any):
    assert run("--version") == (0, f"hetbench {__version__}, predictions by {describe()}\n", "")


def test_help_starts_without_numpy():
    code = "import sys, hetbench.cli; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def _parameters(command: Any, path: str = "hetbench") -> Iterator[tuple[str, Any]]:
    for parameter in command.params:
        yield f"{path} {parameter.name}", parameter
    for name, each in getattr(command, "commands", {}).items():
        yield from _parameters(each, f"{path} {name}")


OF_TYPER = ("hetbench install_completion", "hetbench show_completion")
PARAMETERS = {name: each for name, each in _parameters(get_command(app)) if name not in OF_TYPER}


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_option_and_argument_has_a_help_text_that_states_its_default(name: str):
    parameter = PARAMETERS[name]
    text = parameter.help or ""
    assert text.endswith(".")
    if parameter.param_type_name == "option" and parameter.default is None and not parameter.required:
        assert "efault: " in text or "No default" in text


@pytest.mark.parametrize(("name", "choices", "default"), [
    ("hetbench explain by", GROUPINGS, "type"), ("hetbench advise method", METHODS, METHODS[0]),
    ("hetbench migrate objective", OBJECTIVES, "latency"), ("hetbench graph neighbours relation", RELATIONS, None),
    ("hetbench graph export format", FORMATS, "graphml"), ("hetbench query predictor", PREDICTORS, None),
    ("hetbench operator protocol", PROTOCOLS, "event"), ("hetbench explain depth", (), DEPTH),
])  # fmt: skip
def test_the_help_names_every_choice_of_the_library(name: str, choices: Any, default: Any):
    parameter = PARAMETERS[name]
    assert all(choice in parameter.help for choice in choices)
    assert parameter.default == default


@pytest.mark.parametrize("name", ["query", "advise", "report"])
def test_the_help_states_units_and_defaults(run: Any, name: str):
    code, out, _ = run(name, "--help")
    text = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "Sequence length in tokens. Default: that of the model." in text


@pytest.mark.parametrize(("arguments", "message"), [
    (("operator", "Linear", "m=8", "n=8", "k=8", "m=9", "--device", "cuda"), "'m' is given twice: 8 and 9"),
    (("operator", "Linear", "m=8", "n=8", f"k={'9' * 5000}", "--device", "cuda"), "given as name=value"),
    (("operator", "Linear", "m=8", "n=8", "k=8", "--device", "cuda", "--library", "cublaas"), "unknown library"),
    (("migrate", "gpt2", "--targets", "mlu", "--slo", "nan"), "a duration is"),
    (("migrate", "gpt2", "--targets", "mlu", "--slo", "-5ms"), "a duration is"),
    (("migrate", "gpt2", "--targets", "mlu", "--limit", "-1"), "--limit must be a whole number from 0"),
    (("query", "gpt2", "--target", "cuda", "--stack", ""), "stack must be the name"),
    (("query", "gpt2", "--target", "cuda", "--metric", "latency", "--confidence", "nan"), "confidence must be"),
    (("query", "gpt2", "--target", "\x1b[31mcuda"), "control characters"),
    (("query", "gpt2", "--chip-file", "/dev/null"), "lacks name"),
])  # fmt: skip
def test_what_cannot_be_meant_is_named(run: Any, arguments: tuple[str, ...], message: str):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "\x1b" not in err
    assert len(err) < 2000


def _shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A process of its own, with nothing in its environment but what is given."""
    command = [sys.executable, "-m", "hetbench", *arguments]
    home = {"PYTHONPATH": str(Path(hetbench.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, env={**home, **environment}, timeout=120)


def test_a_terminal_without_the_letters_shows_them_escaped():
    done = _shell("coverage", "bert-tiny", "--target", "cann", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u2013" in done.stdout  # the dash of an operator without a time


def test_a_datasheet_is_read_alike_in_any_locale(tmp_path: Path):
    sheet = tmp_path / "npu.toml"
    text = 'name = "my-npu"\nfamily = "cann"\nfp16_tflops = 100\nmem_bw_gbs = 800\nnotes = "Größe"\n'
    sheet.write_text(text, encoding="utf-8")
    arguments = ("query", "gpt2", "--metric", "latency", "--chip-file", str(sheet), "--json")
    plain, posix = (_shell(*arguments, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
                    for locale in ("C.UTF-8", "C"))  # fmt: skip
    assert (posix.returncode, posix.stdout) == (0, plain.stdout)


def test_without_a_home_the_packaged_set_answers_and_a_download_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HETBENCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert sets.selected() is None
    assert sets.installed() == []
    with pytest.raises(ArtifactError, match="Set HETBENCH_HOME"):
        integrity.home()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_output_onto_a_full_disk_is_one_message():
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "hetbench", "models"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr
