"""One resolver of network names: what a query, a table or an importer means by a model.

Names are looked up in this order, in any case and with `-`, `_` or a space between words: the catalogue's models with
their aliases; the auxiliary networks; checkpoints whose configuration ships; published names that were reviewed
(`hetbench.graphs.networks.upstream`). What is not found as it stands is tried without the owner (`meta-llama/`), the
library (`torchvision/`, `timm/`), the suffix of a quantised copy (`-AWQ`, `-FP8`), which sets the precision, and the
suffix of a fine-tuned one (`-Instruct`, `-Chat`, `-hf`), which changes no operator. Nothing else is guessed: a name
that is merely similar is refused, and the message names the nearest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from hetbench.catalog.models import models, spellings
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.graphs import model_graph, networks
from hetbench.graphs.huggingface import checkpoints, compose
from hetbench.graphs.model_graph import ModelGraph
from hetbench.graphs.suffixes import readings

__all__ = ["every_name", "find"]

_LIBRARIES = ("torchvision/", "timm/", "hf-hub:", "hf_hub:", "huggingface/", "https://huggingface.co/", "models/")
_SYNONYMS = (("meta-llama-3", "llama-3"), ("llama2-", "llama-2-"), ("llama3-", "llama-3-"), ("qwen2-5", "qwen2.5"))
"""Spellings of a family that upstreams use side by side."""


def find(name: str) -> ModelGraph:
    """The graph of the network called `name`, or of a configuration file; what the name says besides is in its
    `precision`, `exact` and `notes`.

    Raises `UnknownNameError`, which names the nearest of all names.

    >>> find("ResNet152").name, find("torchvision/resnet50").name
    ('resnet152', 'resnet-50')
    >>> graph = find("meta-llama/Llama-3.1-8B-Instruct-FP8")
    >>> graph.params, graph.precision
    (8030261248, 'fp8')
    """
    if not isinstance(name, str):
        raise UnknownNameError("model", name, every_name())
    if _is_file(name):
        return _of_file(name, *_state(name))
    graph = _find(name)
    if graph is None:
        raise _unknown(name).with_traceback(None)
    return graph


@lru_cache(maxsize=1)
def every_name() -> tuple[str, ...]:
    """Every name that `find` knows as it stands: catalogue, auxiliary networks, checkpoints; sorted.

    >>> {"gpt2", "resnet152", "Qwen/Qwen3-8B"} <= set(every_name())
    True
    """
    return tuple(sorted({*models(), *networks.names(), *checkpoints()}))


def _is_file(name: str) -> bool:
    return name.endswith(".json") or (("/" in name or name.startswith(".")) and (Path(name) / "config.json").is_file())


def _state(name: str) -> tuple[str, int, int]:
    """Where a file is, when it was changed and its size; for one that is not there, that alone."""
    path = Path(name) / "config.json" if Path(name).is_dir() else Path(name)
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute()), 0, 0
    return str(path.resolve()), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _of_file(name: str, place: str, changed: int, size: int) -> ModelGraph:
    """Kept until the file changes, or the name means another one in another working directory."""
    path = Path(name)
    return compose(path, path.parent.name if path.stem == "config" and path.parent.name else path.stem)


@lru_cache(maxsize=4096)
def _find(name: str) -> ModelGraph | None:
    """The graph, or None; kept, since tables repeat their names."""
    for candidate, precision, notes in _readings(name):
        target = _index().get(_fold(candidate)) or _squeezed().get(_squeeze(candidate))
        graph = _load(target) if target else _published(candidate)
        if graph is not None:
            asked = graph.precision or precision
            said = (f"{name} is answered as {graph.name}",) if notes else ()
            if "gguf" in name.lower() and not asked:
                notes = (*notes, "the name states no format of its weights: precision= does, such as q4_k_m")
            return graph.read_as(asked, graph.exact, (*said, *notes, *graph.notes, *_format_note(asked)))
    return None


@lru_cache(maxsize=4096)
def _unknown(name: str) -> UnknownNameError:
    """The error that names the nearest names; kept, since looking for them takes long."""
    return UnknownNameError("model", name, (*every_name(), *_published_names()))


def _format_note(precision: str | None) -> tuple[str, ...]:
    if precision is None:
        return ()
    return (f"{precision} by the name of the checkpoint, where precision= is not given",)


def _readings(name: str) -> Iterator[tuple[str, str | None, tuple[str, ...]]]:
    """The name as it stands, then with less and less of it: (name, precision, notes on what was dropped)."""
    bare = name.strip()
    for library in _LIBRARIES:
        bare = bare.removeprefix(library)
    for each in readings(bare):
        first = () if each.words or each.notes else (name.strip(),)
        for candidate in dict.fromkeys((*first, each.name, each.name.rpartition("/")[2])):
            for spelling in _spelled(candidate) if each.notes else (candidate, *_spelled(candidate)):
                yield spelling, each.precision, each.notes


def _spelled(name: str) -> tuple[str, ...]:
    folded = _fold(name)
    found = [folded.replace(one, other) for one, other in _SYNONYMS if one in folded]
    return (folded, *found, *(each.removesuffix("-hf") for each in found if each.endswith("-hf")))


def _fold(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _squeeze(name: str) -> str:
    """Letters and digits; what lies between two digits stays, so that 1.5 is not 15."""
    return re.sub(r"[^a-z0-9]+", "", re.sub(r"(?<=\d)[^a-z0-9]+(?=\d)", "p", name.lower()))


Target = tuple[str, str]


@lru_cache(maxsize=1)
def _index() -> Mapping[str, Target]:
    """Folded name -> (kind, name); what comes first keeps a name that several claim."""
    found: dict[str, Target] = {}
    for record in models().values():
        for spelling in spellings(record):
            found.setdefault(spelling, ("model", record.name))
    for name in networks.names():
        found.setdefault(_fold(name), ("network", name))
    for name in checkpoints():
        found.setdefault(_fold(name), ("checkpoint", name))
        for spelling in (*_spelled(name), *_spelled(name.rpartition("/")[2])):
            found.setdefault(spelling, ("checkpoint", name))
    for spelling, target in _unversioned(found).items():
        found.setdefault(spelling, target)
    return MappingProxyType(found)


def _unversioned(known: Mapping[str, Target]) -> dict[str, Target]:
    """Names without their version, `-v0.1`, where there is only one."""
    meant: dict[str, set[Target]] = {}
    for spelling, target in known.items():
        bare = re.sub(r"-v\d+(\.\d+)*$", "", spelling)
        if bare != spelling:
            meant.setdefault(bare, set()).add(target)
    return {spelling: min(targets) for spelling, targets in meant.items() if len(targets) == 1}


@lru_cache(maxsize=1)
def _squeezed() -> Mapping[str, Target]:
    """The same without separators, where that leaves one meaning."""
    meant: dict[str, set[Target]] = {}
    for name, target in _index().items():
        meant.setdefault(_squeeze(name), set()).add(target)
    return MappingProxyType({name: min(targets) for name, targets in meant.items() if len(targets) == 1})


def _load(target: Target) -> ModelGraph:
    kind, own = target
    if kind == "model":
        return model_graph.load(own)
    return _network(own) if kind == "network" else _checkpoint(own)


@lru_cache(maxsize=256)
def _network(name: str) -> ModelGraph:
    """An auxiliary network; of one that generates, the graph that its configuration composes, which knows memory too.

    The two are the same network where they have as many parameters and launch as many operators.
    """
    graph = networks.load(name)
    twin = _twins().get(_fold(name)) if graph.compact and "decode" in graph.phases else None
    if twin is None:
        return graph
    composed = compose(checkpoints()[twin].config, name, checkpoints()[twin].ref)
    same = composed.params == graph.params and all(
        composed.operators(1, precision=precision).launches == graph.operators(1, precision=precision).launches
        for precision in ("fp16", "fp32")
    )
    return composed if same else graph


@lru_cache(maxsize=1)
def _twins() -> Mapping[str, str]:
    """Folded name without owner -> checkpoint."""
    return MappingProxyType({
        spelling.removesuffix("-hf").removesuffix("-base"): name
        for name in checkpoints() for spelling in _spelled(name.rpartition("/")[2])
    })  # fmt: skip


@lru_cache(maxsize=1024)
def _checkpoint(name: str) -> ModelGraph:
    known = checkpoints()[name]
    graph = compose(known.config, name, known.ref)
    return graph.read_as(known.precision or None, True, graph.notes)


def _published(name: str) -> ModelGraph | None:
    """A name of a published table: exact where the very network was meant, else the same layers."""
    try:
        graph, kind = networks.resolve(name)
    except (UnknownNameError, InvalidInputError):
        return None
    if kind not in networks.SURE:
        return None
    if kind == "exact" and not _differs(name):
        return _own(graph)
    note = f"{name} has the layers of {graph}: its vocabulary or output layer may differ"
    return _own(graph).read_as(None, False, (note,))


def _own(name: str) -> ModelGraph:
    """The graph of a catalogue model or of an auxiliary network."""
    return model_graph.load(name) if name in models() else _network(name)


_OTHER_TABLES = re.compile(
    r"(?<!un)cased|multilingual|chinese|japanese|german|squad|sst|mrpc|mnli|qnli|qqp|cola|stsb|sts-b|wikitext|imdb|conll|"
    r"finetuned|fine-tuned|sentiment|emotion"
)
"""Words for another vocabulary, or for the output layer of a task."""


def _differs(name: str) -> bool:
    """Whether a name says that its vocabulary or output layer is not that of the network with its layers.

    Weights that timm lists after a dot classify the 1,000 classes of ImageNet only where they say so.
    """
    _, dot, weights = name.partition(".")
    tagged = dot and re.fullmatch(r"[a-z][a-z0-9_]*", weights) and "in1k" not in weights
    return bool(tagged or _OTHER_TABLES.search(name.lower()))


@lru_cache(maxsize=1)
def _published_names() -> tuple[str, ...]:
    return tuple(sorted({name for _, name in networks.upstream()}))
