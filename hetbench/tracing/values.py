"""Values of the tensors that no weight or activation reaches: positions, masks, lengths, indices.

A trace on fake tensors knows shapes only, but networks decide by small integers that follow from the inputs' shapes
(how many patches, is the mask empty, where does a sequence end). Those are computed along with the fake ones, so that
`if mask.all():` and `for length in lengths.tolist():` have an answer, and masks can be read. What depends on data has
no value.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MOST_ELEMENTS", "Values"]

MOST_ELEMENTS = 2**22
"""Largest tensor whose values are kept."""
_UNSET = ("empty", "new_empty", "empty_like", "empty_strided", "resize_", "empty_permuted")


class Values:
    """Real tensors beside fake ones, and calls of ATen operators on both."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}
        """Identity of a fake tensor -> (itself, its values)."""
        self._stale: set[int] = set()
        """Memory of values that something without values has been written into."""
        self._alive: list[Any] = []

    def know(self, tensor: Any, values: Any) -> None:
        """State the values of a tensor."""
        if values.numel() <= MOST_ELEMENTS:
            self._known[id(tensor)] = (tensor, values)

    def of(self, tensor: Any) -> Any:
        """The values of a tensor, or None."""
        import torch

        found = self._known.get(id(tensor), (None, None))[1]
        if found is None and type(tensor) is torch.Tensor and tensor.device.type == "cpu":
            found = tensor if tensor.numel() <= MOST_ELEMENTS else None  # a constant of the code
        return None if found is None or _memory(found) in self._stale else found

    def array(self, tensor: Any) -> Any:
        """The values of a tensor as a NumPy array, floating-point ones in fp32; None where they are not known."""
        found = self.of(tensor)
        if found is None:
            return None
        with _without_modes():
            return (found.detach().float() if found.is_floating_point() else found.detach()).numpy()

    @staticmethod
    def computed(func: Any, args: Any, kwargs: Any, value: Any) -> Any:
        """What a recorded function returns for float64 arrays; `value` gives that of each tensor of the arguments."""
        import numpy as np
        import torch
        from torch.utils._pytree import tree_map_only

        real, named = tree_map_only(torch.Tensor, lambda tensor: torch.from_numpy(value(tensor)), (args, kwargs))
        return np.asarray(func(*real, **named))

    def call(self, func: Any, args: Any, kwargs: Any, mode: Any) -> Any:
        """Run an ATen operator on fake tensors, and on their values where all have some."""
        from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

        given = _tensors((args, kwargs))
        known = all(self.of(each) is not None for each in given) and _is_certain(func)
        before = self._real(args, kwargs) if known else None
        try:
            returned = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            if before is not None:
                return self._answered(func, before, mode)
            selected = self._selected(func, args)
            if selected is None:
                raise
            return selected
        if before is None:
            self._forget(func, given)
        elif all(each.numel() <= MOST_ELEMENTS for each in _tensors(returned)):
            self._pair(returned, _run(func, *before))
        else:
            self._forget(func, given)
        return returned

    def _real(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        import torch
        from torch.utils._pytree import tree_map_only

        real, named = tree_map_only(torch.Tensor, self.of, (args, kwargs))
        if named.get("device") is not None:
            named = {**named, "device": torch.device("cpu")}
        return real, named

    def _pair(self, returned: Any, values: Any) -> None:
        for fake, real in zip(_tensors(returned), _tensors(values), strict=False):
            if fake.shape == real.shape:
                self.know(fake, real)

    def _answered(self, func: Any, before: tuple[Any, Any], mode: Any) -> Any:
        """What depends on values, from the values."""
        import torch
        from torch.utils._pytree import tree_map_only

        values = _run(func, *before)

        def fake(real: Any) -> Any:
            made = mode.from_tensor(real) if hasattr(mode, "from_tensor") else real.to("meta")
            self.know(made, real)
            return made

        return tree_map_only(torch.Tensor, fake, values)

    def _selected(self, func: Any, args: Any) -> Any:
        """`data[mask]` for a mask whose values are known: the positions where it is true, as indices."""
        import torch

        name = func.overloadpacket.__name__
        if name == "masked_select":
            mask = self.of(args[1])
            if mask is None:
                return None
            with _without_modes():
                count = int(mask.expand(args[0].shape).sum())
            return args[0].new_empty(count)
        if name == "_pack_padded_sequence":
            return self._packed(*args)
        if name != "index":
            return None
        indices: list[Any] = []
        for index in args[1]:
            if index is None or index.dtype not in (torch.bool, torch.uint8):
                indices.append(index)
                continue
            mask = self.of(index)
            if mask is None:
                return None
            with _without_modes():
                counts, axes = int(mask.sum()), mask.dim()
            indices += [torch.zeros(counts, dtype=torch.long, device=args[0].device) for _ in range(axes)]
        return func(args[0], indices)

    def _packed(self, data: Any, lengths: Any, batch_first: bool) -> Any:
        """Sequences packed by their lengths: the steps of each, and how many run at each step."""
        import torch

        values = self.of(lengths)
        if values is None:
            return None
        with _without_modes():
            each = [int((values > step).sum()) for step in range(int(values.max()))]
            sizes = torch.tensor(each, device="cpu")
        self.know(sizes, sizes)
        return data.new_empty(sum(each), *data.shape[2:]), sizes

    def _forget(self, func: Any, given: list[Any]) -> None:
        """Values that an operator without values has overwritten are values no more."""
        if func._schema.is_mutable:
            for each in given[:1]:
                found = self._known.get(id(each), (None, None))[1]
                if found is not None:
                    self._stale.add(_memory(found))
                    self._alive.append(found)


def _memory(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)


def _is_certain(func: Any) -> bool:
    """Whether an operator gives the same values each time."""
    import torch

    return func.overloadpacket.__name__ not in _UNSET and torch.Tag.nondeterministic_seeded not in func.tags


def _without_modes() -> Any:
    from torch.utils._python_dispatch import _disable_current_modes

    return _disable_current_modes()


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    """The operator's results from values; nothing where it does not run on the CPU."""
    with _without_modes():
        try:
            return func(*args, **kwargs)
        except (RuntimeError, NotImplementedError, ValueError, TypeError, IndexError):
            return ()


def _tensors(tree: Any) -> list[Any]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
