"""Pins name the nearest source and need a licence or the mark `restricted`."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_collection.upstream.pins import PINS, pin, pins
from hetbench.errors import InvalidInputError, UnknownNameError


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(UnknownNameError, match="neusight"):
        pin("neusigt")


def test_a_pin_without_a_licence_must_be_restricted(tmp_path: Path):
    text = PINS.read_text().split("\n[", 2)[1].replace('"MIT"', '"none stated"')
    (tmp_path / "sources.toml").write_text("[" + text)
    with pytest.raises(InvalidInputError, match="restricted = true"):
        pins(tmp_path / "sources.toml")
