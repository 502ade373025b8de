"""python -m data_collection.checkpoints [--clones FOLDER] [--out FILE]

FOLDER holds a clone of each repository of `CLONES` as owner+name (or owner+name/repo); the pinned commits are read.
Writes the table of model types and checkpoints, and prints what was left out and why. Without --clones the shipped
table is kept, and what was read by hand (`checkpoints.toml`) and the defaults of new model types are added to it.
"""

from __future__ import annotations

import argparse
import gzip
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_collection.checkpoints import collections, defaults, litgpt
from data_collection.networks.text import entries
from hetbench.catalog.models import models
from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.graphs import huggingface
from hetbench.graphs.huggingface import config, registry
from hetbench.graphs.huggingface.shipped import FORMAT

CLONES = {
    "litgpt": ("Lightning-AI/litgpt", "26857050fe3ff627cd714fe92f5838f51a3d5efa"),
    "mlc": ("mlc-ai/mlc-llm", "79d603f085f50500e9509fa01785ffa7ecfaaa93"),
    "maxtext": ("AI-Hypercomputer/maxtext", "e591f30cbbf217ed67ef71263ec0538239f9c3b8"),
    "aiconfigurator": ("ai-dynamo/aiconfigurator", "095f58a51c4ca8e61b66ec108d86f223f8d559ce"),
    "llm-analysis": ("cli99/llm-analysis", "d841e40aec8c84b9e76ba9cfbce67418adb172bd"),
}  # fmt: skip
READ_BY_HAND = Path(__file__).with_name("checkpoints.toml")
WIDTHS = {"opt": "ffn_dim", "gpt2": "n_inner"}
Entry = tuple[str, dict[str, Any], str, str]  # name, configuration, ref, precision


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m data_collection.checkpoints", description=__doc__)
    parser.add_argument("--clones", type=Path)
    parser.add_argument("--out", type=Path, default=Path(str(files("hetbench"))) / "catalog" / "huggingface.json.gz")
    chosen = parser.parse_args(argv)
    try:
        table = build(chosen.clones, print) if chosen.clones else extended(_shipped(), print)
    except HetBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    text = json.dumps(table, separators=(",", ":"), sort_keys=True)
    chosen.out.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{len(table['types'])} model types, {len(table['checkpoints'])} checkpoints: {chosen.out}")
    return 0


def build(clones: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole table; a checkpoint that several sources hold is taken from the first."""
    wanted = read_names()
    types = {name: defaults.facts(name, wanted) for name in _held_types()}
    found, refs = _added({}, {}, _all(clones), types, say)
    return {"format": FORMAT, "transformers": defaults.version(), "types": types, "refs": list(refs),
            "checkpoints": dict(sorted(found.items()))}  # fmt: skip


def extended(table: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """A table with what `checkpoints.toml` and the installed transformers hold beyond it.

    Raises `InvalidInputError` where the table was made with another version of transformers.
    """
    if table["transformers"] != defaults.version():
        raise InvalidInputError(
            f"the table was made with transformers {table['transformers']}, {defaults.version()} is installed: "
            "make it anew from --clones."
        )
    wanted = read_names()
    types = {**table["types"], **{name: defaults.facts(name, wanted) for name in _held_types()}}
    refs = {ref: place for place, ref in enumerate(table["refs"])}
    found, refs = _added(dict(table["checkpoints"]), refs, _by_hand(), types, say)
    return {**table, "types": types, "refs": list(refs), "checkpoints": dict(sorted(found.items()))}


def _shipped() -> Mapping[str, Any]:
    path = files("hetbench") / "catalog" / "huggingface.json.gz"
    return dict(json.loads(gzip.decompress(path.read_bytes())))


def _added(
    found: dict[str, dict[str, Any]], refs: dict[str, int], entries: Iterable[Entry], types: Mapping[str, Any],
    say: Callable[[str], None],
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:  # fmt: skip
    """Checkpoints and refs with those of the entries that are not among them."""
    wanted = read_names()
    for name, values, ref, precision in entries:
        if name in found:
            continue
        kept = _compact(values, wanted, types)
        try:
            params = huggingface.compose(values, name).params
            lost = huggingface.compose(kept, name).params - params
        except HetBenchError as why:
            say(f"left out: {name} ({ref}): {str(why).split('. ')[0]}")
            continue
        if lost:
            raise InvalidInputError(f"{name}: its compact form has {lost:+,} parameters; a hyper-parameter is missing.")
        entry: dict[str, Any] = {"config": kept, "ref": refs.setdefault(ref, len(refs))}
        if precision:
            entry["precision"] = precision
        found[name] = entry
        say(f"{name}: {params:,} parameters")
    return found, refs


def read_names() -> frozenset[str]:
    """Every hyper-parameter that the composers read, found in their source."""
    names = {"num_labels"}
    for module in (config, *(import_module(f"{huggingface.__name__}.{name}") for name in registry.MODULES)):
        source = inspect.getsource(module)
        names |= set(re.findall(r"\"(\w+)\"", source))
        for half in re.findall(r"f\"\{name\}(_\w+)\"", source):
            names |= {f"encoder{half}", f"decoder{half}"}
    return frozenset(names)


def _held_types() -> list[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return [name for name in huggingface.model_types() if name in CONFIG_MAPPING_NAMES]


def _compact(given: Mapping[str, Any], wanted: frozenset[str], types: Mapping[str, Any]) -> dict[str, Any]:
    """What the composers read and the defaults of the type do not say already."""
    known = types.get(registry.SAME.get(str(given["model_type"]), str(given["model_type"])), {})
    usual, others = known.get("defaults", {}), known.get("aliases", {})
    meant = wanted | {own for shared, own in others.items() if shared in wanted}
    kept: dict[str, Any] = {"model_type": given["model_type"]}
    for name, value in given.items():
        if name in registry.WRAPPED and isinstance(value, Mapping):
            kept[name] = _compact({"model_type": given["model_type"], **value}, wanted, types)
        elif name == "id2label" and value:
            kept["num_labels"] = len(value)
        elif isinstance(value, Mapping) and name in wanted:
            inner = {key: each for key, each in value.items() if key == "partial_rotary_factor"}
            kept |= {name: inner} if inner else {}
        elif others.get(name, name) in meant and value is not None and usual.get(others.get(name, name)) != value:
            kept[name] = value
    return kept


def _all(clones: Path) -> Iterator[Entry]:
    texts = partial(_texts, clones)
    yield from _named("aiconfigurator", collections.files(texts("aiconfigurator", "aic-core/**_config.json")),
                      "aic-core/src/aiconfigurator_core/model_configs")  # fmt: skip
    for name, values, ref in _catalogue():
        yield name, values, ref, ""
    yield from _by_hand()
    path = "python/mlc_llm/model/model_preset.py"
    yield from _named("mlc", collections.presets(texts("mlc", path)[path]), path)
    path = "src/maxtext/checkpoint_conversion/utils/hf_model_configs.py"
    yield from _named("maxtext", collections.maxtext(texts("maxtext", path)[path]), path)
    for name, values, tie in litgpt.configurations(texts("litgpt", litgpt.PATH)[litgpt.PATH]):
        yield name, values, "; ".join([_ref("litgpt", litgpt.PATH), *([f"tied weights: {tie}"] if tie else [])]), ""
    folder = "llm_analysis/model_configs"
    yield from _named("llm-analysis", collections.summaries(texts("llm-analysis", f"{folder}/**.json"), WIDTHS), folder)


def _by_hand() -> Iterator[Entry]:
    for name, entry in tomllib.loads(READ_BY_HAND.read_text("utf-8")).items():
        yield name, dict(entry["config"]), entry["ref"], ""


def _catalogue() -> Iterator[tuple[str, dict[str, Any], str]]:
    """The catalogue's own records and those of its auxiliary text networks whose figures were found in a source."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    types = {made: name for name, made in CONFIG_MAPPING_NAMES.items()}
    records = [*models().values(), *(entry.record for entry in entries().values())]
    for record in records:
        if record.hf_id and record.config_verified and types.get(record.config_class) in huggingface.model_types():
            values = {"model_type": types[record.config_class], **_plain(record.config)}
            yield record.hf_id, values, " ".join(record.config_source.split())


def _plain(value: Any) -> Any:
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def _named(clone: str, found: collections.Found, path: str) -> Iterator[Entry]:
    for name, values, precision in found:
        yield name, values, _ref(clone, path), precision


def _ref(clone: str, path: str) -> str:
    repository, commit = CLONES[clone]
    return f"{repository}@{commit[:8]}:{path}"


def _texts(clones: Path, clone: str, pattern: str) -> dict[str, str]:
    """Files of the pinned commit whose paths match."""
    repository, commit = CLONES[clone]
    folder = clones / repository.replace("/", "+")
    folder = folder / "repo" if (folder / "repo").is_dir() else folder
    if not folder.is_dir():
        raise InvalidInputError(f"{folder} is no clone of {repository}: git clone it there, commit {commit}.")
    listed = _git(folder, "ls-tree", "-r", "--name-only", commit).splitlines()
    wanted = re.compile(re.escape(pattern).replace(r"\*\*", ".*"))
    return {path: _git(folder, "show", f"{commit}:{path}") for path in listed if wanted.fullmatch(path)}


def _git(folder: Path, *arguments: str) -> str:
    found = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    if found.returncode:
        raise InvalidInputError(f"git {arguments[0]} in {folder}: {found.stderr.strip()}")
    return found.stdout


if __name__ == "__main__":
    sys.exit(main())
