"""The network that puts a factor on every operator and is fitted on the sums: time = call + sum n (base + launch) f.

Huber loss on log ms, AdamW under a one-cycle schedule. Now and then the cell of a row is hidden, so that index 0 learns
what chips never seen share; deterministic for a seed and a thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hetbench.predict.models import CALL, CLIP, FACTOR, LAUNCH, Network
from surrogates.whole.rows import WholeRows

_HUBER = 0.05  # residuals beyond 5 % count linearly: the median matters, outliers do not
_WIDTH = 8  # of the vectors of operators, stacks and cells
_HIDE_CELL, _HIDE_STACK = 0.25, 0.03
_LABEL_PENALTY = 1e-5


@dataclass(frozen=True)
class Size:
    """How large a fit is."""

    hidden: int
    epochs: int
    batch: int
    trees: int = 600
    """Of the boosted trees beside the network, where more than 2,000 rows teach them."""
    learning_rate: float = 4e-3


def fit(
    rows: WholeRows, train: np.ndarray, operators: np.ndarray, labels: np.ndarray, weight: np.ndarray, size: Size, *,
    seed: int = 0,
) -> Network:  # fmt: skip
    """Train on the rows `train` (indices); `operators` [operators] and `labels` [rows, 2] are indices from 1 on."""
    import torch

    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    mean, scale = rows.matrix[::7].mean(axis=0), rows.matrix[::7].std(axis=0) + 1e-3
    x = torch.from_numpy(np.clip((rows.matrix - mean) / scale, -CLIP, CLIP))
    operator, base, count = (
        torch.from_numpy(values) for values in
        (operators, rows.base_ms.astype(np.float32), rows.count.astype(np.float32))
    )  # fmt: skip
    target = torch.from_numpy(np.log(rows.frame.ms.to_numpy()).astype(np.float32))
    weights, label = torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(labels)
    net = _network(x.shape[1], int(operators.max()) + 1, labels.max(axis=0) + 1, size.hidden)
    optimizer = torch.optim.AdamW(net.parameters(), lr=size.learning_rate, weight_decay=1e-4)
    steps = size.epochs * -(-len(train) // size.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, size.learning_rate, total_steps=steps + 1, pct_start=0.1)
    for _ in range(size.epochs):
        order = draw.permutation(train)
        for start in range(0, len(order), size.batch):
            chosen = order[start : start + size.batch]
            at = np.concatenate([np.arange(rows.starts[row], rows.starts[row + 1]) for row in chosen])
            of = np.repeat(np.arange(len(chosen)), rows.starts[chosen + 1] - rows.starts[chosen])
            hidden, seen = torch.rand(len(chosen)), label[chosen].clone()
            seen[hidden < _HIDE_CELL, 1] = 0
            seen[hidden < _HIDE_STACK, 0] = 0
            found = net(x[at], operator[at], base[at], count[at], torch.from_numpy(of), seen)
            loss = torch.nn.functional.huber_loss(found, target[chosen], delta=_HUBER, reduction="none")
            loss = (loss * weights[chosen]).mean() + _LABEL_PENALTY * net.label_size()
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
            self.first = torch.nn.Linear(columns + 3 * _WIDTH, hidden)
            self.second = torch.nn.Linear(hidden, hidden)
            self.last = torch.nn.Linear(hidden, 1)
            for values in (*(table.weight for table in self.scalars), self.last.weight, self.last.bias):
                torch.nn.init.zeros_(values)

        def forward(self, x: Any, operator: Any, base: Any, count: Any, of: Any, labels: Any) -> Any:
            vectors = [table(labels[:, i])[of] for i, table in enumerate(self.context)]  # [operators, width] each
            launch, call, offset = sum(table(labels[:, i]) for i, table in enumerate(self.scalars)).T
            state = silu(self.first(torch.cat([x, self.operator(operator), *vectors], dim=1)))
            state = state + silu(self.second(state))
            factor = self.last(state)[:, 0].clamp(-FACTOR, FACTOR)
            each = count * (base + torch.exp(LAUNCH + launch)[of]) * torch.exp(factor)
            total = torch.zeros(len(labels)).index_add_(0, of, each)
            return torch.log(total + torch.exp(CALL + call)) + offset

        def label_size(self) -> Any:
            return sum((table.weight**2).sum() for table in (*self.context, *self.scalars))

    return Net()


def _exported(net: Any, mean: np.ndarray, scale: np.ndarray) -> Network:
    """Vectors of labels folded into what they add to the first layer."""
    columns = len(mean)

    def array(tensor: Any) -> np.ndarray:
        return np.ascontiguousarray(tensor.detach().numpy())

    first = net.first.weight
    parts = [first[:, columns + i * _WIDTH : columns + (i + 1) * _WIDTH] for i in range(3)]
    context = [array(table.weight @ part.T) for table, part in zip(net.context, parts[1:], strict=True)]
    context[0] += array(net.first.bias)
    return Network(
        mean.astype(np.float32), scale.astype(np.float32), array(net.operator.weight @ parts[0].T),
        (context[0], context[1]), (array(first[:, :columns].T), array(net.second.weight.T), array(net.last.weight.T)),
        (array(net.second.bias), array(net.last.bias)),
        (array(net.scalars[0].weight), array(net.scalars[1].weight)),
    )  # fmt: skip
