"""Standard inputs: the published grid, the same bytes everywhere, and files that can be checked."""

from collections import Counter

import numpy as np
import pytest

from data_collection.inputs import checksum, generate, main, reals, specs, tokens
from hetbench.catalog.models import models
from hetbench.errors import UnknownNameError

# sha256 of seed 0; a generator that changes them makes other inputs, whatever its reason
CHECKSUMS = {
    "llm-b1-s128": "8a4e84218a5fff3cc1453d45e26cd8e5c357e2872b827c29c8123d28612edcc1",
    "nlp-b1-s64": "0e9c9ec034d87600105be54532d96a02383e99d727bccf9023f36892dfecbb38",
    "diffusion-b1-64": "9c971c3a4546cb38b8514675f6e9d42d3e7d08b469936fadd65c6e4516d66b92",
    "audio-b1-1s": "7c7d1eb133f8d81d68d5d41c6aad73aeb85402ffe757c791ab077908a26645ee",
}


def test_there_are_ninety_specifications_in_six_categories():
    counts = Counter(spec.category for spec in specs().values())
    assert counts == {"llm": 20, "cv": 15, "nlp": 16, "audio": 12, "multimodal": 18, "diffusion": 9}
    assert sum(counts.values()) == 90


@pytest.mark.parametrize("name", CHECKSUMS)
def test_a_seed_makes_the_bytes_it_always_made(name):
    assert checksum(generate(name)) == CHECKSUMS[name]


def test_another_seed_and_another_specification_make_other_values():
    first = generate("nlp-b1-s64")["input_ids"]
    assert not np.array_equal(first, generate("nlp-b1-s64", seed=1)["input_ids"])
    assert not np.array_equal(first, generate("llm-b1-s128")["input_ids"][:, :64])


@pytest.mark.parametrize("name", ["llm-b4-s256", "cv-b1-224px", "audio-b4-2s", "multimodal-b1-224px-s77"])
def test_every_tensor_has_the_shape_and_type_that_its_specification_states(name):
    made = generate(name)
    assert {tensor: array.shape for tensor, array in made.items()} == specs()[name].shapes
    assert all(array.dtype == (np.int64 if tensor == "input_ids" else np.float32) for tensor, array in made.items())


def test_every_text_model_of_the_catalogue_can_read_the_tokens():
    vocabularies = {"llm": [], "nlp": []}
    for record in models().values():
        if record.category in vocabularies and "vocab_size" in record.config:
            vocabularies[record.category].append(record.config["vocab_size"])
    for category, name in (("llm", "llm-b16-s2048"), ("nlp", "nlp-b32-s512")):
        highest = generate(name)["input_ids"].max()
        assert min(vocabularies[category]) - 100 < highest < min(vocabularies[category])


def test_tokens_stay_below_the_vocabulary_and_reals_within_one():
    drawn, values = tokens((10_000,), 7, seed=1), reals((10_000,), seed=1)
    assert set(drawn.tolist()) == set(range(7))
    assert values.min() >= -1
    assert values.max() < 1
    assert abs(values.mean()) < 0.05


def test_written_files_check_and_a_changed_one_is_named(tmp_path, capsys):
    assert main(["write", "nlp-b1-s64", "audio-b1-1s", "--out", str(tmp_path)]) == 0
    assert main(["check", "nlp-b1-s64", "audio-b1-1s", "--out", str(tmp_path)]) == 0
    path = tmp_path / "nlp-b1-s64-seed0.npz"
    path.write_bytes(path.read_bytes()[:-40])
    capsys.readouterr()
    assert main(["check", "nlp-b1-s64", "audio-b1-1s", "--out", str(tmp_path)]) == 1
    broken, whole = capsys.readouterr().out.splitlines()
    assert broken.startswith(f"{path}\tcannot be read")
    assert whole.endswith("ok")


def test_an_unknown_specification_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'nlp-b1-s64'"):
        generate("nlp-b1-s65")


def test_an_empty_directory_name_is_not_the_working_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["inputs", "write", "nlp-b1-s64", "--out", ""])
    assert main() == 2
    assert "an argument of the command is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["write", "nlp-b1-s64", "--out", str(tmp_path / "file" / "inner")]) == 2
    assert "Name a file in a writable directory with room: --out DIR" in capsys.readouterr().err
