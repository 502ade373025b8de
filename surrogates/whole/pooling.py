"""How many networks teach each operator type under each label: the evidence that partial pooling weighs.

A factor learned for an operator type in a cell is believed by n / (n + k), where n is the number of different networks
of the cell that contain the type; the rest of the weight goes to the level above: chip, die, stack, all stacks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from hetbench.predict.pooling import LEVELS, WHOLE_HALF, Pooled, label_of
from surrogates.whole.rows import WholeRows

Evidence = dict[str, dict[str, int]]
"""Label -> operator type -> different networks; under the type "" all networks of the label."""


@dataclass(frozen=True)
class Labels:
    """The labels of every row at each level of pooling, and the evidence of the rows that train."""

    names: pd.DataFrame  # [rows, LEVELS]
    index: np.ndarray  # [rows, levels], 0 where no training row has the label
    tables: tuple[dict[str, int], ...]  # label -> index, one a level
    evidence: tuple[Evidence, ...]
    operators: dict[str, int]
    by_operator: dict[str, int]  # operator type -> different networks, whatever the label


def names_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Labels as `hetbench.predict.pooling.label_of` writes them, one column a level."""
    die = frame.chip.map({name: chip.die for name, chip in chips().items()})
    columns = zip(frame.chip, die, frame["stack"], frame.precision, strict=True)
    return pd.DataFrame([label_of(*each) for each in columns], columns=list(LEVELS), index=frame.index)


def labels(rows: WholeRows, train: np.ndarray) -> Labels:
    """Labels of all rows; tables and evidence of the rows `train` (indices) alone."""
    names, known = names_of(rows.frame), np.zeros(len(rows), dtype=bool)
    known[train] = True
    operators = {name: i for i, name in enumerate(sorted(set(rows.operator)), 1)}
    of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    pairs = pd.DataFrame({"row": of, "operator": rows.operator})[known[of]].drop_duplicates()
    pairs["graph"] = rows.frame.graph.to_numpy()[pairs.row]
    tables, evidence, index = [], [], np.zeros(names.shape, dtype=np.int64)
    for level, name in enumerate(LEVELS):
        pairs["label"] = names[name].to_numpy()[pairs.row]
        found: Evidence = {}
        some = pairs[["label", "operator", "graph"]].drop_duplicates()
        for (label, operator), count in some.groupby(["label", "operator"]).size().items():
            found.setdefault(label, {})[operator] = int(count)
        for label, count in some.groupby("label").graph.nunique().items():
            found[label][""] = int(count)
        table = {label: i for i, label in enumerate(sorted(found), 1)}
        index[:, level] = names[name].map(table).fillna(0).astype(int)
        tables.append(table)
        evidence.append(found)
    by_operator = pairs[["operator", "graph"]].drop_duplicates().groupby("operator").size().astype(int).to_dict()
    return Labels(names, index, tuple(tables), tuple(evidence), operators, by_operator)


def pooled(made: Labels, rows: WholeRows) -> tuple[Pooled, np.ndarray]:
    """What the networks read of every operator [operators], and the weights of whole rows [rows, levels]."""
    of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    weights = np.zeros((len(LEVELS), len(of)))
    codes = pd.Series(rows.operator).map(made.operators).to_numpy(np.int64)
    for level, name in enumerate(LEVELS):
        table = np.zeros((len(made.tables[level]) + 1, len(made.operators) + 1))
        for label, counts in made.evidence[level].items():
            for operator, count in counts.items():
                if operator:
                    table[made.tables[level][label], made.operators[operator]] = count
        n = table[made.index[of, level], codes]
        weights[level] = n / (n + LEVELS[name])
    found = Pooled.of(codes, np.array([made.by_operator.get(name, 0) for name in rows.operator]), weights)
    whole = np.zeros((len(rows), len(LEVELS)))
    for level, (name, half) in enumerate(LEVELS.items()):
        n = made.names[name].map(lambda label, known=made.evidence[level]: known.get(label, {}).get("", 0))
        whole[:, level] = n / (n + WHOLE_HALF * half)
    return found, whole
