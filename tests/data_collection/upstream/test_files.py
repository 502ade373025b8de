"""Files of an upstream are selected by patterns; a folder without them is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_collection.upstream.files import UpstreamError, open_trees, selected
from data_collection.upstream.pins import pin


def test_patterns_stay_in_a_folder_unless_two_stars_cross_it_and_braces_choose():
    paths = ["a/b.csv", "a/c/d.csv", "a/e.txt"]
    assert selected(paths, ["a/*.csv"]) == ["a/b.csv"]
    assert selected(paths, ["a/**/*.csv"]) == ["a/b.csv", "a/c/d.csv"]
    assert selected(paths, ["a/{b,e}.*"]) == ["a/b.csv", "a/e.txt"]


def test_a_folder_without_the_files_says_which_it_looked_for(tmp_path: Path):
    with pytest.raises(UpstreamError, match=r"none of the files of pipeweave: dataset/gemm_fp8"):
        _ = open_trees(pin("pipeweave"), tmp_path)[0].listing()
