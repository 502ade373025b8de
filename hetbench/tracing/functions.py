"""Names of torch functions by what they are: views, copies, casts, element-wise operators, reductions.

An operator type stands for all functions of its cost: `erf` is counted as `Tanh`, `log1p` as `Log`. Functions whose
dims need a look at the arguments have a handler in `lower`, `layers` or `products`.
"""

from __future__ import annotations

__all__ = [
    "BINARY", "CASTS", "COMPARE", "COPIES", "MAYBE_COPY", "PRODUCTS", "REDUCE", "ROWS", "SCALAR", "TERNARY", "UNARY",
    "VIEWS", "WHOLE", "bare",
]

VIEWS = frozenset({
    "_unsafe_view", "_reshape_alias", "slice", "lift_fresh", "view", "transpose", "permute", "unsqueeze", "squeeze",
    "expand", "expand_as", "T", "mT", "H", "mH", "t", "chunk", "split", "unbind", "narrow", "select", "swapaxes",
    "movedim", "unflatten", "detach", "view_as", "as_strided", "real", "imag", "data", "diagonal", "tensor_split",
    "alias", "requires_grad_", "split_with_sizes", "unsafe_chunk", "unsafe_split", "swapdims", "moveaxis",
    "broadcast_to", "adjoint", "unfold", "hsplit", "vsplit", "dsplit", "atleast_1d", "atleast_2d", "atleast_3d",
    "_has_compatible_shallow_copy_type", "is_nonzero", "positive", "__pos__", "view_as_real", "view_as_complex",
    "resolve_conj", "resolve_neg", "_conj", "conj", "squeeze_", "unsqueeze_", "lift", "_assert_tensor_metadata",
})  # fmt: skip
MAYBE_COPY = frozenset({
    "reshape", "contiguous", "flatten", "__getitem__", "ravel", "reshape_as", "pin_memory", "cpu", "cuda", "meshgrid",
    "broadcast_tensors",
})  # fmt: skip
COPIES = frozenset({
    "clone", "roll", "gather", "index_select", "flip", "fliplr", "flipud", "rot90", "copy_", "__setitem__", "tril",
    "triu", "take_along_dim", "take", "scatter", "scatter_", "index_copy_", "index_copy", "masked_select", "index",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "repeat_interleave", "complex", "one_hot", "index_put_",
    "index_put", "masked_scatter", "masked_scatter_", "index_fill", "index_fill_", "im2col", "col2im", "fold",
    "diag_embed", "diag", "select_scatter", "slice_scatter", "diagonal_scatter", "polar", "block_diag", "unique",
    "_unique2", "nonzero", "argwhere", "cartesian_prod", "combinations", "max_unpool1d", "max_unpool2d",
    "max_unpool3d", "conj_physical", "bucketize", "searchsorted",
    "_pack_padded_sequence", "_pad_packed_sequence",
})  # fmt: skip
CASTS = frozenset({
    "to", "float", "half", "bfloat16", "double", "type_as", "int", "long", "bool", "type", "byte", "_to_copy", "short",
    "cfloat",
})  # fmt: skip
UNARY = {
    "relu": "ReLU", "relu6": "ReLU6", "gelu": "GELU", "silu": "SiLU", "sigmoid": "Sigmoid", "tanh": "Tanh",
    "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "leaky_relu": "LeakyReLU", "exp": "Exp", "log": "Log",
    "neg": "Neg", "__neg__": "Neg", "negative": "Neg", "abs": "Abs", "__abs__": "Abs", "absolute": "Abs",
    "sqrt": "Sqrt", "rsqrt": "Rsqrt", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos", "clamp": "Clamp",
    "clip": "Clamp", "clamp_min": "Clamp", "clamp_max": "Clamp", "hardtanh": "Clamp", "masked_fill": "Where",
    "isinf": "Compare", "isnan": "Compare", "isfinite": "Compare", "isposinf": "Compare", "isneginf": "Compare",
    "logical_not": "Compare", "logical_and": "Compare", "logical_or": "Compare", "logical_xor": "Compare",
    "sign": "Compare", "signbit": "Compare", "round": "Compare", "floor": "Compare", "ceil": "Compare",
    "trunc": "Compare", "fix": "Compare", "frac": "Compare", "square": "PowScalar", "softplus": "GELU", "elu": "GELU",
    "mish": "GELU", "celu": "GELU", "selu": "GELU", "erf": "Tanh", "erfc": "Tanh", "erfinv": "Tanh",
    "special_erf": "Tanh", "special_erfc": "Tanh", "log1p": "Log", "log2": "Log", "log10": "Log", "expm1": "Exp",
    "exp2": "Exp", "special_expit": "Sigmoid", "nan_to_num": "Where", "logsigmoid": "SiLU", "log_sigmoid": "SiLU",
    "logit": "Log", "bitwise_not": "Compare", "__invert__": "Compare", "zero": "Fill", "fill": "Fill", "sgn": "Compare",
    "prelu": "LeakyReLU", "_prelu_kernel": "LeakyReLU", "rrelu": "LeakyReLU", "threshold": "Clamp",
    "hardshrink": "Clamp", "softshrink": "Clamp", "tanhshrink": "Tanh", "softsign": "Div", "tan": "Sin", "asin": "Sin",
    "acos": "Cos", "atan": "Sin", "sinh": "Tanh", "cosh": "Tanh", "asinh": "Log", "acosh": "Log", "atanh": "Log",
    "arcsin": "Sin", "arccos": "Cos", "arctan": "Sin", "sinc": "Sin", "digamma": "Tanh", "lgamma": "Tanh",
    "deg2rad": "MulScalar", "rad2deg": "MulScalar", "angle": "Atan2", "bernoulli": "Fill", "uniform": "Fill",
    "normal": "Fill", "exponential": "Fill", "rand_like": "Fill", "randn_like": "Fill", "multinomial": "Fill",
    "fake_quantize_per_tensor_affine": "Clamp", "isreal": "Compare", "bitwise_left_shift": "Compare",
    "bitwise_right_shift": "Compare",
}  # fmt: skip
BINARY = {
    "add": "Add", "__add__": "Add", "__radd__": "Add", "__iadd__": "Add", "sub": "Sub", "__sub__": "Sub",
    "rsub": "Sub", "__rsub__": "Sub", "__isub__": "Sub", "subtract": "Sub", "mul": "Mul", "__mul__": "Mul",
    "__rmul__": "Mul", "__imul__": "Mul", "multiply": "Mul", "div": "Div", "__truediv__": "Div",
    "__rtruediv__": "Div", "__itruediv__": "Div", "__idiv__": "Div", "__div__": "Div", "true_divide": "Div",
    "divide": "Div", "pow": "Pow", "__pow__": "Pow", "float_power": "Pow", "__ipow__": "Pow", "floor_divide": "Div",
    "remainder": "Div", "fmod": "Div", "maximum": "Maximum", "minimum": "Minimum", "fmax": "Maximum",
    "fmin": "Minimum", "atan2": "Atan2", "arctan2": "Atan2", "hypot": "Atan2", "copysign": "Maximum",
    "logaddexp": "Atan2", "logaddexp2": "Atan2", "xlogy": "Atan2", "heaviside": "Maximum", "ldexp": "Pow",
}  # fmt: skip
SCALAR = {"Add": "AddScalar", "Sub": "AddScalar", "Mul": "MulScalar", "Div": "DivScalar", "Pow": "PowScalar"}
"""The type of an arithmetic operator whose second operand is a number."""
TERNARY = {"addcmul": "Addcmul", "addcdiv": "Addcdiv", "lerp": "Lerp", "where": "Where"}
COMPARE = frozenset({
    "eq", "ne", "lt", "le", "gt", "ge", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__and__",
    "__or__", "__xor__", "__rand__", "__ror__", "__iand__", "__ior__", "bitwise_and", "bitwise_or", "bitwise_xor",
    "isin", "isclose", "greater", "less", "greater_equal", "less_equal", "not_equal", "__lshift__", "__rshift__",
})  # fmt: skip
REDUCE = {
    "mean": "Mean", "sum": "Sum", "max": "Max", "amax": "Max", "min": "Max", "amin": "Max", "any": "Max",
    "all": "Max", "argmax": "ArgMax", "argmin": "ArgMax", "norm": "VectorNorm", "vector_norm": "VectorNorm",
    "linalg_vector_norm": "VectorNorm", "prod": "Sum", "var": "Sum", "std": "Sum", "logsumexp": "Sum",
    "count_nonzero": "Sum", "nansum": "Sum", "nanmean": "Mean", "special_logsumexp": "Sum", "aminmax": "Max",
    "var_mean": "VarMean", "std_mean": "VarMean", "trace": "Sum", "histc": "Sum", "bincount": "Sum",
    "dist": "VectorNorm",    "linalg_norm": "VectorNorm", "frobenius_norm": "VectorNorm", "equal": "Max",
}  # fmt: skip
ROWS = {
    "softmax": "Softmax", "_softmax": "Softmax", "log_softmax": "LogSoftmax", "_log_softmax": "LogSoftmax",
    "softmin": "Softmax", "_safe_softmax": "Softmax", "cumsum": "CumSum", "cumprod": "CumSum", "cummax": "CumSum",
    "cummin": "CumSum", "logcumsumexp": "CumSum", "diff": "CumSum", "sort": "Sort", "argsort": "Sort", "msort": "Sort",
    "median": "Sort", "nanmedian": "Sort", "quantile": "Sort", "kthvalue": "Sort", "mode": "Sort",
}  # fmt: skip
PRODUCTS = frozenset({
    "matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "baddbmm", "addmm", "addbmm", "addmv", "mv", "dot", "vdot",
    "inner", "linalg_matmul", "grouped_mm", "_grouped_mm", "grouped_mm_fallback", "_scaled_mm", "_int_mm", "ger",
})  # fmt: skip
WHOLE = frozenset({"scaled_dot_product_attention", "item", "tolist", "numpy"})
"""Functions that `lower` never sees, recorded whole all the same."""


def bare(name: str) -> str:
    """The name of the function that an in-place form changes in place.

    >>> bare("relu_"), bare("__add__")
    ('relu', '__add__')
    """
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
