"""Options of the commands: what cannot be meant ends as wrong usage before anything is measured or written."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_collection.arguments import count, number
from data_collection.profile.__main__ import main as profile
from data_collection.suite.__main__ import _before
from data_collection.suite.plan import load
from data_collection.tasks.workload import read
from data_collection.tune.__main__ import main as tune
from hetbench.errors import HetBenchError, InvalidInputError, RefusedError, command, escaped, exit_code


@pytest.mark.parametrize("text", ["nan", "-1", "inf", "-inf", "1e400", "x", "", "9" * 5000, "1e10", "\ud800"])
def test_numbers_and_counts_are_finite_and_within_their_range(text: str):
    with pytest.raises(ArgumentTypeError):
        number()(text)
    with pytest.raises(ArgumentTypeError):
        count()(text)


def test_a_fraction_is_no_count_and_a_limit_may_be_excluded():
    for wrong in (lambda: count()("1.5"), lambda: count()("0"), lambda: number(above=True)("0")):
        with pytest.raises(ArgumentTypeError):
            wrong()
    assert (count(0)("0"), number()("0"), number(above=True)("0.1")) == (0, 0.0, 0.1)


@pytest.mark.parametrize(("main", "words"), [
    (profile, ["models", "bert-tiny", "--timeout", "nan"]), (profile, ["models", "bert-tiny", "--retries", "-1"]),
    (profile, ["models", "bert-tiny", "--batch", "0"]), (profile, ["models", "bert-tiny", "--memory-gb", "inf"]),
    (tune, ["--model", "bert-tiny", "--trials", "0"]), (tune, ["--model", "bert-tiny", "--seconds", "nan"]),
])  # fmt: skip
def test_an_option_that_cannot_be_meant_is_wrong_usage(main: Callable[[Any], int], words: list[str], capsys: Any):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert f"argument {words[-2]}" in capsys.readouterr().err


@pytest.mark.parametrize("age", ["", "30", "-1d", "999999w", "9" * 5000 + "d", "1e3d", "٣d", "nan"])
def test_an_age_of_any_size_is_a_time_or_a_message(age: str):
    with pytest.raises(InvalidInputError, match="--older-than"):
        _before(age)
    assert _before("1h") < datetime.now(UTC)


MODELS = '[[models]]\nmodels = ["bert-tiny"]\n'


@pytest.mark.parametrize("text", [
    "a = " + "[" * 10**5, "[budget]\ntimeout = nan\n" + MODELS, "[budget]\nretries = 1.5\n" + MODELS,
    "[budget]\nseconds = inf\n" + MODELS, MODELS + "batch = [" + "9" * 400 + "]",
    MODELS + "batch = [" + "9" * 5000 + "]", MODELS + "limit = 0", "\0", MODELS + "threads = [0]",
])  # fmt: skip
def test_a_suite_or_task_file_that_cannot_be_meant_is_a_message(text: str, tmp_path: Path):
    for name, reader in (("s.toml", load), ("bert-tiny-fp32.toml", read), ("t.json", read)):
        (tmp_path / name).write_text(text)
        with pytest.raises(HetBenchError):
            reader(tmp_path / name)


def fail(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(("error", "code", "said"), [
    (OSError(28, "No space left on device", "/x/out"), 2, "/x/out: No space left on device"),
    (PermissionError(13, "Permission denied", "/x"), 2, "Permission denied"),
    (ModuleNotFoundError("No module named 'autogluon'", name="autogluon.tabular"), 3, "needs autogluon"),
    (RecursionError(), 2, "nested too deeply"), (MemoryError(), 3, "too little free memory"),
    (RefusedError("a\x1b[31m\nb"), 3, "error: a\\x1b[31m\nb"), (KeyboardInterrupt(), 130, "halted"),
])  # fmt: skip
def test_a_fault_of_the_machine_or_a_file_is_one_message_with_its_exit_code(
    error: BaseException, code: int, said: str, capsys: Any
):
    assert exit_code(fail(error), "halted") == code
    assert said in capsys.readouterr().err


def test_a_decorated_main_ends_with_its_exit_code_and_a_bug_stays_visible():
    with pytest.raises(SystemExit) as stopped:
        command("")(fail(RefusedError("no")))()
    assert stopped.value.code == 3
    command("")(lambda: None)()
    with pytest.raises(ZeroDivisionError):
        command("")(lambda: 1 // 0)()


def test_names_with_control_characters_are_shown_escaped():
    assert escaped("plain ünïcode") == "plain ünïcode"
    assert escaped("a\x1b]0;x\x07\u202eb\n") == "a\\x1b]0;x\\x07\\u202eb\\n"
