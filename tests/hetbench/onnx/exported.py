"""Networks that were exported to `tests/data/onnx`, in both exporters of PyTorch, without their weights.

`python -m tests.hetbench.onnx.exported` writes the files again; it needs onnx and onnxscript and takes minutes. Each
network is small, but has every kind of layer of its family. The weights become external data that is not there, so that
a file holds the graph and the shapes alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "data" / "onnx"
_TEXT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
         "vocab_size": 100, "max_position_embeddings": 64}  # fmt: skip
_IMAGE = {"image_size": 32, "patch_size": 8, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 128}  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """One network, its inputs by shape (integers are token ids), and how it was exported."""

    model: str
    """Class of transformers."""
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    opset: int
    dynamo: bool
    free: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Input -> axis -> name, for sizes that the file leaves free."""
    options: Mapping[str, Any] = field(default_factory=dict)
    twice: int = 0
    """Elements of tied weights that the file holds a second time, transposed, and that count twice without values."""

    def module(self) -> Any:
        """The module in evaluation mode, which takes the inputs by position."""
        import torch
        import transformers

        torch.manual_seed(0)
        cls = getattr(transformers, self.model)
        network = cls(cls.config_class(**self.config)).eval()
        with torch.no_grad():
            for each in network.parameters():
                each.normal_(std=0.1)  # exporters leave out what adds zero
        return _positional(network, tuple(self.shapes), dict(self.options)).eval()

    def inputs(self) -> tuple[Any, ...]:
        """Example inputs: ones as token ids and masks, zeros as images and sounds."""
        import torch

        whole = ("input_ids", "attention_mask", "decoder_input_ids")
        return tuple(
            torch.ones(shape, dtype=torch.long) if name in whole else torch.zeros(shape)
            for name, shape in self.shapes.items()
        )


def _positional(network: Any, names: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    import torch

    class Positional(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *given: Any) -> Any:
            returned = self.network(**dict(zip(names, given, strict=True)), **options)
            return returned if isinstance(returned, torch.Tensor) else returned[0]

    return Positional()


_TOKENS = {"input_ids": (2, 16), "attention_mask": (2, 16)}
_FREE = {"input_ids": {0: "batch", 1: "seq"}, "attention_mask": {0: "batch", 1: "seq"}}
_NO_CACHE = {"use_cache": False}

NETWORKS: Mapping[str, Exported] = {
    "resnet": Exported("ResNetForImageClassification", {
        "embedding_size": 16, "hidden_sizes": [32, 64], "depths": [2, 2], "num_labels": 10,
    }, {"pixel_values": (2, 3, 64, 64)}, 13, False, {"pixel_values": {0: "batch_size"}}),
    "mobilenet": Exported("MobileNetV2ForImageClassification", {
        "image_size": 64, "num_labels": 10, "tf_padding": False},
                          {"pixel_values": (1, 3, 64, 64)}, 17, False),
    "convnext": Exported("ConvNextForImageClassification", {"depths": [1, 1, 2, 1], "hidden_sizes": [16, 32, 64, 96],
                         "num_labels": 10}, {"pixel_values": (2, 3, 64, 64)}, 18, True),
    "vit": Exported("ViTForImageClassification", {**_IMAGE, "num_labels": 10},
                    {"pixel_values": (2, 3, 32, 32)}, 17, False),
    "bert": Exported("BertForSequenceClassification", _TEXT, _TOKENS, 18, True, _FREE),
    "distilbert": Exported("DistilBertModel", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128,
                           "vocab_size": 100, "max_position_embeddings": 64}, _TOKENS, 14, False, _FREE),
    "gpt2": Exported("GPT2LMHeadModel", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100,
                     "n_positions": 64}, {"input_ids": (2, 16)}, 18, True,
                     {"input_ids": {0: "batch", 1: "seq"}}, _NO_CACHE, twice=100 * 64),
    "llama": Exported("LlamaForCausalLM", {**_TEXT, "num_key_value_heads": 2}, {"input_ids": (2, 16)}, 18, True,
                      {"input_ids": {0: "batch", 1: "seq"}}, _NO_CACHE),
    "t5": Exported("T5EncoderModel", {"d_model": 64, "d_kv": 16, "num_layers": 2, "num_heads": 4, "d_ff": 128,
                   "vocab_size": 100}, _TOKENS, 14, False, _FREE),
    "clip": Exported("CLIPVisionModelWithProjection", {**_IMAGE}, {"pixel_values": (2, 3, 32, 32)}, 20, True),
    "wav2vec2": Exported("Wav2Vec2Model", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "intermediate_size": 128, "conv_dim": [32, 32, 32], "conv_stride": [5, 2, 2],
                         "conv_kernel": [10, 3, 3], "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 16,
                         "num_conv_pos_embedding_groups": 4}, {"input_values": (2, 4000)}, 17, False),
}  # fmt: skip


def export(name: str) -> Path:
    """Write one network's file."""
    import torch

    own, path = NETWORKS[name], FOLDER / f"{name}.onnx"
    axes: dict[str, Any] = {}
    if own.dynamo and own.free:
        axes = {"dynamic_shapes": (tuple(dict(own.free.get(each, {})) for each in own.shapes),)}
    elif own.free:
        axes = {"dynamic_axes": {each: dict(named) for each, named in own.free.items()}}
    torch.onnx.export(
        own.module(), own.inputs(), str(path), input_names=list(own.shapes), opset_version=own.opset,
        dynamo=own.dynamo, **axes,
        **({"external_data": False} if own.dynamo else {"training": torch.onnx.TrainingMode.PRESERVE}),
    )  # fmt: skip
    strip(path)
    return path


def strip(path: Path) -> None:
    """Move every weight of a file into external data that is not there, and leave out what only describes."""
    import onnx

    model = onnx.load(path)
    short: dict[str, str] = {each.name: each.name for each in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name and short.setdefault(name, f"v{len(short)}") for name in names]
        node.ClearField("doc_string")
        kept = [(each.key, each.value) for each in node.metadata_props if each.key == "pkg.torch.onnx.name_scopes"]
        node.ClearField("metadata_props")
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
    places: dict[bytes, str] = {}
    for tensor in model.graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
        if len(tensor.raw_data) > 64 or len(tensor.float_data) > 16:
            place = places.setdefault(tensor.raw_data or tensor.name.encode(), str(4096 * len(places)))
            for kept in ("raw_data", "float_data"):
                tensor.ClearField(kept)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")
            tensor.external_data.add(key="offset", value=place)
    for field_name in ("value_info", "metadata_props"):
        model.graph.ClearField(field_name)
    for each in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        each.ClearField("metadata_props")
    path.write_bytes(model.SerializeToString())


def main(names: list[str], each: Callable[[str], Path] = export) -> None:
    """Export the named networks, all where none is named."""
    for name in names or NETWORKS:
        path = each(name)
        print(f"{name}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
