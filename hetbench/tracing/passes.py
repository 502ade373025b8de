"""A module kept without its weights, and passes over fresh fake copies of it."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.tracing.copying import Copier, stand_ins
from hetbench.tracing.flow import Trace
from hetbench.tracing.lower import is_known
from hetbench.tracing.recompose import recompose
from hetbench.tracing.record import record
from hetbench.tracing.recording import Recording
from hetbench.tracing.sizes import InputSizes, resized
from hetbench.tracing.surroundings import restored
from hetbench.tracing.values import MOST_ELEMENTS

__all__ = ["Snapshot", "trace_call"]

_LOCK = threading.RLock()
"""One trace at a time: what a forward changes outside its module is put back after each."""


def trace_call(
    module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, mode: Any, state: Mapping[str, Any] | None = None,
    cache: Sequence[Any] = (), values: Sequence[tuple[Any, Any]] = (),
) -> Trace:
    """The operators of one call of `module` on fake tensors; see `record` for the arguments.

    Raises `InvalidInputError` for a module whose path depends on the values of tensors, for one whose forward fails
    and for functions that no operator type covers.
    """
    return recompose(_recorded(module, args, kwargs, mode=mode, state=state, cache=cache, values=values))


def _recorded(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], **options: Any) -> Recording:
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

    name = type(module).__name__
    try:
        return record(module, args, kwargs, known=is_known, **options)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise InvalidInputError(
            f"the path of {name} depends on the value of a tensor ({error.func}), which a trace without computing "
            f"cannot follow. {_way_out(module)}"
        ) from error
    except HetBenchError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise InvalidInputError(
            f"the forward of {name} stopped on these inputs with {type(error).__name__}: {said or 'no message'}"
        ) from error


def _way_out(module: Any) -> str:
    """What to do about a path that depends on data."""
    config = getattr(module, "config", None)
    if getattr(config, "_experts_implementation", None) not in (None, "grouped_mm", "batched_mm"):
        return 'Build it with experts_implementation="grouped_mm" or "batched_mm", which loop over no data.'
    return "Trace the part that does not, or pass the value as a Python number."


class Snapshot:
    """A module and example inputs as they were, without memory for weights and activations."""

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        import torch

        def flat(elements: int, dtype: Any) -> Any:
            return torch.empty(elements, dtype=dtype, device="meta")

        copier = Copier(stand_ins(flat, _has_values))
        with _quiet():
            self.module = copier.copy(module)
            self.args, self.kwargs = copier.copy(args), copier.copy(kwargs)
        self.sizes = InputSizes.of(self._tensors())

    def _tensors(self) -> list[Any]:
        import torch
        from torch.utils._pytree import tree_leaves

        return [each for each in tree_leaves((self.args, self.kwargs)) if isinstance(each, torch.Tensor)]

    def trace(self, precision: str, sizes: InputSizes) -> Trace:
        """One pass over a fresh fake copy, every floating-point tensor in a precision, inputs at the given sizes."""
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        values: list[tuple[Any, Any]] = []

        def flat(elements: int, stored: Any) -> Any:
            with mode:
                return torch.empty(elements, dtype=dtype if stored.is_floating_point else stored, device="cpu")

        fake = stand_ins(flat)

        def stand_in(tensor: Any) -> Any:
            with mode, torch.no_grad():
                made = fake(tensor)
            if tensor.device.type != "meta":
                values.append((made, tensor.detach().clone()))
            return made

        with _LOCK, _quiet(), restored(self.module):
            copier = Copier(stand_in)
            module = copier.copy(self.module)
            args, kwargs = (copier.copy(resized(each, self.sizes, sizes)) for each in (self.args, self.kwargs))
            return trace_call(module, args, kwargs, mode=mode, state={}, values=values)


def _has_values(tensor: Any) -> bool:
    """Whether a tensor holds integers or truth values that decide a network's path."""
    import torch

    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
    whole = not tensor.is_floating_point() and not tensor.is_complex()
    return plain and whole and tensor.device.type != "meta" and tensor.numel() <= MOST_ELEMENTS


@contextmanager
def _quiet() -> Any:
    """Warnings and log lines of networks are about real calls."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
