"""Accuracy of a network on a data set, with weights that the user names. Runs in the child process.

Data: an .npz file with one array for each input of the model, and `labels`. Weights: a .safetensors file with the
parameter names of transformers. Class labels, [samples], are compared with the argmax of the class scores. Labels of a
generating model, [samples, tokens], are tokens: position i predicts token i + 1; -100 is ignored. A catalogue model
without class scores (BERT ...) gets the classification head that transformers has for its architecture, with as many
classes as the weights' `classifier` has rows.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.backends import Backend
from data_collection.extract.build import build, has_cache
from data_collection.profile import stacks
from data_collection.profile.tasks import Task
from data_collection.tasks.numeric import arrays, cast
from hetbench.catalog.models import Model, model
from hetbench.errors import InvalidInputError, RefusedError

__all__ = ["check_files", "score", "wilson"]

Data = Mapping[str, NDArray[Any]]
_INPUTS = {"text": ("input_ids",), "image": ("pixel_values",)}
"""Inputs of models with class labels or tokens to predict; other kinds have neither."""


def check_files(record: Model, weights: Path, data: Path) -> None:
    """Raise `InvalidInputError` for unusable weights or data before anything runs."""
    _read(record, data)
    if not weights.is_file():
        raise InvalidInputError(f"cannot read the weights {weights}: no such file.")
    if weights.suffix != ".safetensors":
        raise InvalidInputError(f"{weights}: weights are read from .safetensors only, which runs no code when loaded.")


def score(backend: Backend, task: Task, weights: Path, data: Path, percent: float) -> dict[str, Any]:
    """Correct answers among the first `percent` of the samples, on the device and in fp32 on the CPU."""
    import torch

    record = model(task.name)
    if task.stack in stacks.EXPORTED:
        raise RefusedError(f"accuracy is tested eager or compiled; {task.stack} is exported for one fixed shape.")
    every = _read(record, data)
    total = len(every["labels"])
    count = max(1, math.floor(total * percent / 100))
    samples = {name: torch.from_numpy(value[:count]) for name, value in every.items()}
    network = _network(record, weights)
    with torch.no_grad():
        expected = _right(lambda given: network(**given), samples, task.batch or 1, record)
        network, moved = cast(network, samples, backend, task)
        runner = stacks.run(task.stack, network)
        found = _right(lambda given: runner(**given), moved, task.batch or 1, record)
    return {"samples": count, "of_samples": total, **_figures("", found), **_figures("reference_", expected)}


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a proportion by Wilson's score.

    >>> [round(each, 3) for each in wilson(90, 100)]
    [0.826, 0.945]
    """
    z, share = 1.96, right / total
    middle, half = share + z * z / (2 * total), z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def _figures(prefix: str, counted: tuple[int, int]) -> dict[str, Any]:
    right, total = counted
    lower, upper = wilson(right, total)
    return {f"{prefix}right": right, f"{prefix}answers": total, f"{prefix}accuracy": right / total,
            f"{prefix}lower": lower, f"{prefix}upper": upper}  # fmt: skip


def _read(record: Model, path: Path) -> Data:
    """The data set, checked."""
    if record.inputs not in _INPUTS:
        raise RefusedError(f"accuracy is tested for models of {' or '.join(_INPUTS)}; {record.name}: {record.inputs}.")
    needed = (*_INPUTS[record.inputs], "labels")
    try:
        with np.load(path, allow_pickle=False) as stored:
            data = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InvalidInputError(f"cannot read the data {path}: {error}. It must be an .npz with {needed}.") from None
    missing = [name for name in needed if name not in data]
    if missing:
        raise InvalidInputError(f"{path} lacks {', '.join(missing)}; it has {', '.join(data) or 'nothing'}.")
    counts = {name: len(value) if value.ndim else 0 for name, value in data.items()}
    if len(set(counts.values())) > 1 or not counts["labels"]:
        raise InvalidInputError(f"{path}: every array needs one entry a sample; they have {counts}.")
    if not np.issubdtype(data["labels"].dtype, np.integer):
        raise InvalidInputError(f"{path}: labels must be whole numbers, not {data['labels'].dtype}.")
    data["labels"] = data["labels"].astype(np.int64)
    return {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in data.items()}


def _network(record: Model, path: Path) -> Any:
    """The network with the weights of the file; raises if any is unused or missing."""
    import transformers
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(f"cannot read the weights {path}: {error}.") from None
    heads = [value for name, value in state.items() if name.startswith("classifier") and value.ndim == 2]
    if heads:
        head = {"text": "SequenceClassification", "image": "ImageClassification"}[record.inputs]
        config = getattr(transformers, record.config_class)(**{**dict(record.config), "num_labels": len(heads[-1])})
        network = getattr(transformers, f"AutoModelFor{head}").from_config(config)
    else:
        network = build(record, "cpu")
    try:
        found = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes that differ
        raise InvalidInputError(f"{path} does not fit {record.name}: {str(error)[:300]}") from None
    network.tie_weights()
    # of tied weights a file need hold only one: named_parameters yields the first name
    needed = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    lacking = [name for name in found.missing_keys if name in needed and not name.endswith("num_batches_tracked")]
    if lacking or found.unexpected_keys:
        raise InvalidInputError(
            f"{path} does not fit {record.name}: it lacks {lacking[:3] or 'nothing'}, and nothing here takes "
            f"{found.unexpected_keys[:3] or 'nothing'}."
        )
    return network.float().eval()


def _right(call: Any, samples: Mapping[str, Any], batch: int, record: Model) -> tuple[int, int]:
    """Number of correct answers and of answers."""
    right = total = 0
    extra = {"use_cache": False} if has_cache(record) else {}
    for start in range(0, len(samples["labels"]), batch):
        part = {name: value[start : start + batch] for name, value in samples.items()}
        labels = part.pop("labels").cpu().numpy()
        output = call({**part, **extra})
        if not hasattr(output, "logits"):
            raise InvalidInputError(f"{record.name} gives no scores; the weights need a classification head.")
        scores = arrays(output.logits)[0]
        if labels.ndim == 2:
            scores, labels = scores[:, :-1], labels[:, 1:]
        if scores.shape[:-1] != labels.shape:
            raise InvalidInputError(f"labels {labels.shape} do not fit scores {scores.shape} of {record.name}.")
        asked = labels != -100
        right += int(((scores.argmax(-1) == labels) & asked).sum())
        total += int(asked.sum())
    if not total:
        raise InvalidInputError("every label is -100: there is nothing to compare.")
    return right, total
