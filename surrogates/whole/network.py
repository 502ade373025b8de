"""The network that puts a factor on every operator and is fitted on the sums: time = call + sum n (base + launch) f.

Huber loss on log ms, AdamW under a one-cycle schedule. Labels are pooled (`hetbench.predict.pooling`), factors are
pulled towards 1. Now and then the labels of a row are hidden from some level on, so that index 0 learns what chips and
dies never seen share; deterministic for a seed and a thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hetbench.predict.network import CALL, CLIP, LAUNCH, LEAST, MOST, Network
from hetbench.predict.pooling import Pooled
from surrogates.whole.rows import WholeRows

_HUBER = 0.05  # residuals beyond 5 % count linearly: the median matters, outliers do not
_WIDTH = 8  # of the vectors of operators, stacks and cells
_HIDE = (0.03, 0.2, 0.45)  # chance that the stack, the die and the chip of a row are hidden, each with what is narrower
_LABEL_PENALTY = 1e-5
_FACTOR_PENALTY = 1e-4  # on squared log factors: without evidence an operator takes its roofline time and a launch


@dataclass(frozen=True)
class Size:
    """How large a fit is."""

    hidden: int
    epochs: int
    batch: int
    trees: int = 600
    """Of the boosted trees beside the network, where more than 2,000 rows teach them."""
    learning_rate: float = 4e-3
    tree_rate: float = 0.06


def fit(
    rows: WholeRows, train: np.ndarray, pooled: Pooled, labels: np.ndarray, evidence: np.ndarray, weight: np.ndarray,
    size: Size, *, seed: int = 0,
) -> Network:  # fmt: skip
    """Train on the rows `train` (indices).

    `pooled` is of all operators; `labels` [rows, levels] are indices from 1 on, `evidence` [rows, levels] their weights
    on whole rows, `weight` [rows] the weight of each row's error.
    """
    import torch

    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    mean, scale = rows.matrix[::7].mean(axis=0), rows.matrix[::7].std(axis=0) + 1e-3
    x = torch.from_numpy(np.clip((rows.matrix - mean) / scale, -CLIP, CLIP))
    base, count, known, weights, believed = (
        torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        for values in (rows.base_ms, rows.count, pooled.known, pooled.weights.T, evidence)
    )
    operator, label = torch.from_numpy(pooled.operators), torch.from_numpy(labels)
    target = torch.from_numpy(np.log(rows.frame.ms.to_numpy()).astype(np.float32))
    error_weight = torch.from_numpy(weight.astype(np.float32))
    net = _network(x.shape[1], int(operator.max()) + 1, labels.max(axis=0) + 1, size.hidden)
    optimizer = torch.optim.AdamW(net.parameters(), lr=size.learning_rate, weight_decay=1e-4)
    steps = size.epochs * -(-len(train) // size.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, size.learning_rate, total_steps=steps + 1, pct_start=0.1)
    for _ in range(size.epochs):
        order = draw.permutation(train)
        for start in range(0, len(order), size.batch):
            chosen = order[start : start + size.batch]
            at = torch.from_numpy(np.concatenate([np.arange(*rows.starts[row : row + 2]) for row in chosen]))
            of = torch.from_numpy(np.repeat(np.arange(len(chosen)), rows.starts[chosen + 1] - rows.starts[chosen]))
            seen = torch.where(torch.rand(len(chosen), 1) < torch.tensor(_HIDE), 0, label[chosen])
            found, factor = net(
                x[at], operator[at], known[at], weights[at], base[at], count[at], of, seen, believed[chosen]
            )
            loss = torch.nn.functional.huber_loss(found, target[chosen], delta=_HUBER, reduction="none")
            loss = (loss * error_weight[chosen]).mean()
            loss = loss + _LABEL_PENALTY * net.label_size() + _FACTOR_PENALTY * (factor**2).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return _exported(net, mean, scale)


def _network(columns: int, operators: int, labels: np.ndarray, hidden: int) -> Any:
    """The torch module of `hetbench.predict.models.Network`, vectors of labels not yet folded into the first layer."""
    import torch

    silu = torch.nn.functional.silu

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.operator = torch.nn.Embedding(operators, _WIDTH)
            self.context = torch.nn.ModuleList([torch.nn.Embedding(int(n), _WIDTH) for n in labels])
            self.scalars = torch.nn.ModuleList([torch.nn.Embedding(int(n), 3) for n in labels])
            for table in (self.operator, *self.context):
                torch.nn.init.normal_(table.weight, 0, 0.1)
            self.first = torch.nn.Linear(columns + (1 + len(labels)) * _WIDTH, hidden)
            self.second = torch.nn.Linear(hidden, hidden)
            self.last = torch.nn.Linear(hidden, 1)
            for values in (*(table.weight for table in self.scalars), self.last.weight, self.last.bias):
                torch.nn.init.zeros_(values)

        def forward(
            self, x: Any, operator: Any, known: Any, weights: Any, base: Any, count: Any, of: Any, labels: Any,
            believed: Any,
        ) -> Any:  # fmt: skip
            def pooled(table: Any, index: Any, weight: Any) -> Any:  # [n, width] from [n] indices and weights
                return table.weight[0] + weight[:, None] * (table(index) - table.weight[0])

            vectors = [pooled(self.operator, operator, known)]
            vectors += [pooled(t, labels[of, i], weights[:, i]) for i, t in enumerate(self.context)]
            launch = sum(pooled(t, labels[of, i], weights[:, i])[:, 0] for i, t in enumerate(self.scalars))
            whole = sum(pooled(t, labels[:, i], believed[:, i]) for i, t in enumerate(self.scalars))  # [rows, 3]
            state = silu(self.first(torch.cat([x, *vectors], dim=1)))
            state = state + silu(self.second(state))
            factor = self.last(state)[:, 0].clamp(LEAST, MOST)
            each = count * (base + torch.exp(LAUNCH + launch)) * torch.exp(factor)
            total = torch.zeros(len(labels)).index_add_(0, of, each)
            return torch.log(total + torch.exp(CALL + whole[:, 1])) + whole[:, 2], factor

        def label_size(self) -> Any:
            return sum((table.weight**2).sum() for table in (*self.context, *self.scalars))

    return Net()


def _exported(net: Any, mean: np.ndarray, scale: np.ndarray) -> Network:
    """Vectors of labels folded into what they add to the first layer."""
    columns = len(mean)

    def array(tensor: Any) -> np.ndarray:
        return np.ascontiguousarray(tensor.detach().numpy())

    first, levels = net.first.weight, len(net.context)
    parts = [first[:, columns + i * _WIDTH : columns + (i + 1) * _WIDTH] for i in range(1 + levels)]
    context = [array(table.weight @ part.T) for table, part in zip(net.context, parts[1:], strict=True)]
    context[0] += array(net.first.bias)
    return Network(
        mean.astype(np.float32), scale.astype(np.float32), array(net.operator.weight @ parts[0].T), tuple(context),
        (array(first[:, :columns].T), array(net.second.weight.T), array(net.last.weight.T)),
        (array(net.second.bias), array(net.last.bias)), tuple(array(table.weight) for table in net.scalars),
    )  # fmt: skip
