"""What is held out: shapes, sources, versions, chips with their near twins, families, models and architectures.

Shapes fall by a stable hash of (operator, dims), so that one shape never stands on both sides. Chips fall with
their die: H100, H200, H800 and H20 leave together. Models fall by their graph, in folds of equal size.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from surrogates.corpus import shape_hash

TEST, TUNE = 0, 1
_FOLDS = 10


def shape_fold(frame: pd.DataFrame) -> np.ndarray:
    """Fold 0..9 of each row by its shape: 0 is the test fold, 1 tunes and weighs members, the others train."""
    return (shape_hash(frame) % _FOLDS).astype(np.int64)


def die(frame: pd.DataFrame) -> pd.Series:
    """The group of near twins a row's chip belongs to: the die of its architecture without packaging."""
    return frame.chip.map({name: chip.die for name, chip in chips().items()})


def source_folds(frame: pd.DataFrame) -> np.ndarray:
    """Fold of each row by its source: the sources of one family fall in different folds, the largest first."""
    fold: dict[tuple[str, str], int] = {}
    for family, part in frame.groupby("family"):
        for index, name in enumerate(part.source.value_counts(sort=True).index):
            fold[family, name] = index
    return np.array([fold[key] for key in zip(frame.family, frame.source, strict=True)], dtype=np.int64)


def version_folds(frame: pd.DataFrame) -> np.ndarray:
    """Fold of each row by its software version, the newest of its chip, source and class first; -1: the only one."""
    out = np.full(len(frame), -1, dtype=np.int64)
    for (_, source), rows in frame.groupby(["chip", "source"]).indices.items():
        if source.partition("/")[0] in _VERSIONED:
            names = sorted(set(frame.version.to_numpy()[rows]), key=_by_number, reverse=True)
            if len(names) > 1:
                rank = {name: min(index, _MOST_VERSIONS - 1) for index, name in enumerate(names)}
                out[rows] = [rank[name] for name in frame.version.to_numpy()[rows]]
    return out


_VERSIONED = ("aiconfigurator", "aisimulate_b60")
_MOST_VERSIONS = 2


def _by_number(version: str) -> list[tuple[int, ...]]:
    return [tuple(int(part) for part in re.findall(r"\d+", version))]


# names that begin or contain these belong to one family of architectures
_ARCHITECTURES = (
    ("mobilevit", "mobilevit"), ("resmlp", "resmlp"),
    ("res", r"^res|resne|^(bot|halo|sehalo|sebot)net|^halo|^lam|^eca_"),
    ("mobile", "mobile|efficient|mnas|fbnet|hardcore|lcnet|mixnet|spnas|tinynet|ghost|rexnet|shuffle|squeeze"),
    ("vit", "^(vit|deit|beit|eva|flexivit|samvit|aimv|naflex|clip|dino)"), ("swin", "^swin"),
    ("convnext", "^convnext"), ("regnet", "^reg"), ("vgg", "^(rep)?vgg"), ("yolo", "^yolo"),
    ("bert", "bert|electra|roberta|xlnet|minilm"), ("gpt", "gpt|opt-|bloom|pythia|neo"),
    ("llama", "llama|mistral|qwen|vicuna|yi-|deci|baichuan|internlm|aquila|falcon|gemma|phi"),
)  # fmt: skip
_PREFIX = re.compile(r"^(tv-|timm-|tf_|gluon_|legacy_|ssl_|swsl_|ig_|dm_|test_)+")


def architecture(graph: str) -> str:
    """The family of architectures that a graph is of: all of it leaves together.

    >>> architecture("tv-resnext50_32x4d"), architecture("tf_efficientnetv2_b0"), architecture("xcit_tiny_12_p8_224")
    ('res', 'mobile', 'xcit')
    """
    name = _PREFIX.sub("", graph.lower())
    for family, pattern in _ARCHITECTURES:
        if re.search(pattern, name):
            return family
    return re.match("[a-z]*", name)[0] or name


def balanced_folds(groups: pd.Series, most: int = 5) -> np.ndarray:
    """Fold of each row: whole groups, the largest first, each into the fold with the fewest rows so far."""
    size = groups.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    rows = [0] * min(most, len(size))
    fold: dict[str, int] = {}
    for name, count in size.items():
        fold[name] = int(np.argmin(rows))
        rows[fold[name]] += count
    return groups.map(fold).to_numpy(np.int64)
