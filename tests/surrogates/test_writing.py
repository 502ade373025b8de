"""What training writes into a set: the files of a step come together or not at all, whatever stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from hetbench.errors import ArtifactError, HetBenchError, InvalidInputError  # noqa: E402
from surrogates.reading import read_table  # noqa: E402
from surrogates.writing import joining, restore, swap, write_arrays, write_json, write_table  # noqa: E402

NAMES = ["whole.json", "whole-a.npz", "whole_card.json"]


def _write(folder: Path, value: float) -> None:
    write_arrays(folder / "whole-a.npz", {"a": np.full(3, value)})
    write_json(folder / "whole.json", {"value": value})
    write_json(folder / "whole_card.json", {"value": value}, indent=1)


def _read(folder: Path) -> set[float]:
    with np.load(folder / "whole-a.npz") as stored:
        found = {float(stored["a"][0])}
    return found | {json.loads((folder / name).read_text())["value"] for name in ("whole.json", "whole_card.json")}


def test_the_files_of_a_step_replace_the_earlier_ones_and_leave_the_others(tmp_path: Path):
    (tmp_path / "other.json").write_text("{}")
    for value in (1.0, 2.0):
        with joining(tmp_path, NAMES) as made:
            _write(made, value)
        assert _read(tmp_path) == {value}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*NAMES, "other.json"])


@pytest.mark.parametrize("fault", [
    lambda made: made.joinpath("absent").read_text(), lambda made: (made / "whole.json").write_text('{"value": NaN}'),
    lambda made: (made / "whole.json").write_text("{"), lambda made: (made / "whole_card.json").unlink(),
    lambda made: (made / "whole-a.npz").write_bytes((made / "whole-a.npz").read_bytes()[:-9]),
])  # fmt: skip
def test_a_step_that_fails_or_writes_what_cannot_be_read_changes_nothing(fault: Any, tmp_path: Path):
    _write(tmp_path, 1.0)

    def step() -> None:
        with joining(tmp_path, NAMES) as made:
            _write(made, 2.0)
            fault(made)

    with pytest.raises((ArtifactError, FileNotFoundError)):
        step()
    assert _read(tmp_path) == {1.0}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("stop", range(1, 10))
def test_a_kill_while_the_files_are_swapped_leaves_the_old_ones_or_the_new_ones(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old, new = tmp_path / "set", tmp_path / "new"
    for folder, value in ((old, 1.0), (new, 2.0)):
        folder.mkdir()
        _write(folder, value)
    calls = iter(range(1, 30))
    replace, unlink = Path.replace, Path.unlink

    def stopping(work: Any) -> Any:
        def step(*args: Any, **options: Any) -> Any:
            if next(calls) == stop:
                raise KeyboardInterrupt
            return work(*args, **options)

        return step

    monkeypatch.setattr(Path, "replace", stopping(replace))
    monkeypatch.setattr(Path, "unlink", stopping(unlink))
    with pytest.raises(KeyboardInterrupt):
        swap(new, old, NAMES)
    monkeypatch.undo()
    restore(old, NAMES)
    assert len(_read(old)) == 1
    assert sorted(path.name for path in old.iterdir()) == sorted(NAMES)


def test_a_table_comes_back_and_one_without_a_column_is_named_with_what_it_has(tmp_path: Path):
    path = tmp_path / "rows.parquet"
    write_table(path, pd.DataFrame({"model": ["gpt2"], "ms": [1.0]}))
    assert read_table(path, ["ms"]).ms.tolist() == [1.0]
    with pytest.raises(InvalidInputError, match=r"lacks the columns chip; it has: model, ms\. Make it by: python -m x"):
        read_table(path, ["chip", "ms"], "python -m x")


@pytest.mark.parametrize("content", [None, b"", b"a;b\n1;2\n", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_a_file_that_is_no_table_is_refused_in_words(content: bytes | None, tmp_path: Path):
    path = tmp_path / "rows.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HetBenchError, match=r"cannot read|is no Parquet table"):
        read_table(path, ["ms"])
