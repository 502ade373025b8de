"""Operators that PyTorch's composite operators call: a back end must register them for the composite to run.

`native_functions.yaml` says that an operator is composite, but not what it calls. These lists are read from the
implementations in PyTorch 2.13 (aten/src/ATen/native/*.cpp). They hold for inference on back ends outside the PyTorch
tree: branches for CPU or CUDA only are left out. `a|b` means either: the dispatcher takes the first that is registered.
Shape arithmetic that calls no operator is not listed; an operator that only returns its input has no parts.
"""

from __future__ import annotations

__all__ = ["CALLERS", "PARTS"]

_LISTED = """
# Views and copies
t                        transpose.int
transpose.int            as_strided
permute                  as_strided
expand                   as_strided
expand_as                expand
unsqueeze                as_strided
squeeze                  as_strided
squeeze.dim              as_strided
squeeze.dims             as_strided
select.int               as_strided
slice.Tensor             as_strided
narrow                   slice.Tensor
diagonal                 as_strided
split.Tensor             narrow
split_with_sizes         narrow
unsafe_split.Tensor      split.Tensor
chunk                    split.Tensor
tensor_split.sections    slice.Tensor
unbind.int               select.int
detach                   view
alias                    view
_unsafe_view             view
view_as                  view
reshape                  view clone
reshape_as               reshape
flatten.using_ints       reshape
unflatten.int            view
movedim.int              permute
movedim.intlist          permute
moveaxis.int             movedim.int
moveaxis.intlist         movedim.intlist
swapdims                 transpose.int
broadcast_to             expand
ravel                    reshape
split.sizes              split_with_sizes
unsafe_chunk             unsafe_split.Tensor
diag_embed               zeros diagonal copy_
argwhere                 nonzero
swapaxes                 transpose.int
mT                       transpose.int
pixel_shuffle            reshape permute clone
pixel_unshuffle          reshape permute clone
native_channel_shuffle   reshape permute clone
lift                     -
lift_fresh               -
resolve_conj             -
resolve_neg              -
clone                    empty_strided|empty.memory_format copy_
contiguous               clone
copy                     clone copy_
_to_copy                 empty_strided|empty.memory_format copy_
to.dtype                 _to_copy
to.device                _to_copy
to.dtype_layout          _to_copy
to.other                 _to_copy
type_as                  to.dtype
repeat                   expand as_strided empty.memory_format unfold copy_
tile                     repeat
repeat_interleave.self_int     unsqueeze expand clone flatten.using_ints
repeat_interleave.self_Tensor  repeat_interleave.Tensor index_select
stack                    cat
concat                   cat
concatenate              cat
hstack                   cat
vstack                   cat
meshgrid                 view expand
meshgrid.indexing        view expand
pad                      constant_pad_nd|reflection_pad2d
constant_pad_nd          empty.memory_format fill_.Scalar narrow copy_
embedding                index_select view
one_hot                  zeros scatter_.value unsqueeze
index_put                clone index_put_
index_put_               _index_put_impl_
_unsafe_index.Tensor     index.Tensor
_unsafe_index_put        index_put
take_along_dim           gather
# Creation
empty_like               empty.memory_format
new_empty                empty.memory_format
new_empty_strided        empty_strided
zeros                    empty.memory_format zero_
zeros_like               empty_like zero_
new_zeros                new_empty zero_
ones                     empty.memory_format fill_.Scalar
ones_like                empty_like fill_.Scalar
new_ones                 new_empty fill_.Scalar
full                     empty.memory_format fill_.Scalar
full_like                empty_like fill_.Scalar
new_full                 new_empty fill_.Scalar
fill.Scalar              clone fill_.Scalar
scalar_tensor            empty.memory_format fill_.Scalar
arange                   empty.memory_format arange.start_out
arange.start             empty.memory_format arange.start_out
arange.start_step        empty.memory_format arange.start_out
linspace                 empty.memory_format linspace.out
eye                      empty.memory_format eye.out
eye.m                    empty.memory_format eye.m_out
item                     _local_scalar_dense
rand                     empty.memory_format uniform_
rand_like                empty_like uniform_
randn                    empty.memory_format normal_
randn_like               empty_like normal_
# Arithmetic
add.Scalar               add.Tensor
sub.Scalar               sub.Tensor
mul.Scalar               mul.Tensor
div.Scalar               div.Tensor
div.Scalar_mode          div.Tensor_mode
rsub.Scalar              sub.Tensor
subtract.Tensor          sub.Tensor
multiply.Tensor          mul.Tensor
divide.Tensor            div.Tensor
subtract.Scalar          sub.Scalar
multiply.Scalar          mul.Scalar
divide.Scalar            div.Scalar
true_divide.Scalar       div.Scalar
floor_divide.Scalar      floor_divide
positive                 -
true_divide.Tensor       div.Tensor
negative                 neg
square                   pow.Tensor_Scalar
abs                      empty.memory_format abs.out
absolute                 abs
clip                     clamp
greater.Scalar           gt.Scalar
less.Scalar              lt.Scalar
greater_equal.Scalar     ge.Scalar
less_equal.Scalar        le.Scalar
greater.Tensor           gt.Tensor
less.Tensor              lt.Tensor
greater_equal.Tensor     ge.Tensor
less_equal.Tensor        le.Tensor
not_equal.Tensor         ne.Tensor
not_equal.Scalar         ne.Scalar
isinf                    abs eq.Scalar
isfinite                 abs ne.Scalar eq.Tensor mul.Tensor
logical_not              empty.memory_format logical_not.out
logical_and              empty.memory_format logical_and.out
logical_or               empty.memory_format logical_or.out
logical_xor              empty.memory_format logical_xor.out
bitwise_and.Scalar       bitwise_and.Tensor
bitwise_or.Scalar        bitwise_or.Tensor
bitwise_xor.Scalar       bitwise_xor.Tensor
__and__.Tensor           bitwise_and.Tensor
__or__.Tensor            bitwise_or.Tensor
max.other                maximum
min.other                minimum
where.ScalarSelf         scalar_tensor where.self
where.ScalarOther        scalar_tensor where.self
where.Scalar             scalar_tensor where.self
masked_fill.Scalar       clone masked_fill_.Scalar
masked_fill.Tensor       clone masked_fill_.Tensor
mean                     mean.dim
sum                      sum.dim_IntList
var                      var.correction
var.dim                  var.correction
std                      std.correction
std.dim                  std.correction
var_mean.dim             var_mean.correction
var_mean                 var_mean.correction
std_mean                 std_mean.correction
std_mean.dim             std_mean.correction
norm_except_dim          clone view linalg_vector_norm
logsumexp                amax abs eq.Scalar masked_fill_.Scalar sub.Tensor exp sum.dim_IntList log add.Tensor
argsort                  sort
argsort.stable           sort.stable
sort                     sort.stable
cosine_similarity        linalg_vector_norm div.Tensor mul.Tensor sum.dim_IntList clamp_min
# Activations
softmax.int              _softmax
log_softmax.int          _log_softmax
_safe_softmax            softmax.int isneginf all.dim scalar_tensor where.self
log_sigmoid              log_sigmoid_forward neg
relu6                    hardtanh
selu                     elu
celu                     elu
prelu                    _prelu_kernel
dropout                  -
feature_dropout          -
alpha_dropout            -
# Normalisation
layer_norm               native_layer_norm
group_norm               native_group_norm
batch_norm               _batch_norm_impl_index
_batch_norm_impl_index   native_batch_norm
instance_norm            repeat view batch_norm
rms_norm                 _fused_rms_norm
_fused_rms_norm          pow.Tensor_Scalar mean.dim add.Scalar rsqrt mul.Tensor
_weight_norm             norm_except_dim div.Tensor mul.Tensor
# Products, convolutions, pools, attention
linear                   t addmm matmul
matmul                   mm bmm expand reshape _unsafe_view
outer                    reshape mul.Tensor
mv                       empty.memory_format addmv_
tensordot                permute reshape mm
einsum                   permute reshape bmm
conv1d                   convolution
conv2d                   convolution
conv3d                   convolution
conv1d.padding           _convolution_mode
conv2d.padding           _convolution_mode
conv3d.padding           _convolution_mode
_convolution_mode        convolution constant_pad_nd
conv_transpose1d         convolution
conv_transpose2d.input   convolution
conv_transpose3d.input   convolution
convolution              _convolution
_convolution             convolution_overrideable
max_pool1d               max_pool1d_with_indices
max_pool1d_with_indices  unsqueeze max_pool2d_with_indices squeeze.dim
max_pool2d               max_pool2d_with_indices
max_pool3d               max_pool3d_with_indices
avg_pool1d               unsqueeze avg_pool2d squeeze.dim
adaptive_avg_pool1d      unsqueeze adaptive_avg_pool2d squeeze.dim
adaptive_avg_pool2d      _adaptive_avg_pool2d mean.dim
adaptive_avg_pool3d      _adaptive_avg_pool3d mean.dim
upsample_nearest1d.vec   upsample_nearest1d
upsample_nearest2d.vec   upsample_nearest2d
upsample_bilinear2d.vec  upsample_bilinear2d
upsample_bicubic2d.vec   upsample_bicubic2d
upsample_linear1d.vec    upsample_linear1d
upsample_nearest3d.vec   upsample_nearest3d
upsample_trilinear3d.vec  upsample_trilinear3d
grid_sampler             grid_sampler_2d grid_sampler_3d
embedding_bag            _embedding_bag
scaled_dot_product_attention         _fused_sdp_choice {attention}
_scaled_dot_product_attention_math   mul.Scalar transpose.int matmul _safe_softmax
# Losses
l1_loss                  sub.Tensor abs mean
cross_entropy_loss       log_softmax.int nll_loss_nd
nll_loss_nd              nll_loss_forward nll_loss2d_forward
nll_loss                 nll_loss_forward
"""
_ATTENTION = "|".join((
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_attention_math",
))  # fmt: skip


def _read(text: str) -> dict[str, tuple[str, ...]]:
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: () if parts == ["-"] else tuple(parts) for name, *parts in lines}


PARTS = _read(_LISTED.format(attention=_ATTENTION))
"""Composite operator -> the operators it calls, each `a` or `a|b`."""

CALLERS = {"_weight_norm_interface": "_weight_norm", "_adaptive_avg_pool2d": "adaptive_avg_pool2d"}
"""Operator in a trace -> operator that the model calls, where only CPU and CUDA use the former."""
