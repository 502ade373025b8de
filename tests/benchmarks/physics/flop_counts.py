"""Multiply-adds of catalogue models counted by torch, in GFLOP.

FlopCounterMode of torch 2.13 on the transformers class of each model, at (batch, seq_len, image_size, phase).
"""

from __future__ import annotations

COUNTED: dict[str, list[tuple[int, int | None, int | None, str, float]]] = {
    "albert-base": [(3, 37, None, "inference", 19.032), (2, 200, None, "inference", 70.978)],
    "beit-base": [(3, None, 224, "inference", 105.383), (2, None, 256, "inference", 92.79)],
    "bert-base": [(3, 37, None, "inference", 19.01), (2, 200, None, "inference", 70.899)],
    "bert-mini": [(3, 37, None, "inference", 0.716), (2, 200, None, "inference", 2.845)],
    "bert-tiny": [(3, 37, None, "inference", 0.092), (2, 200, None, "inference", 0.397)],
    "bloom-560m": [
        (3, 37, None, "inference", 124.478),
        (2, 200, None, "inference", 454.977),
        (3, 57, None, "decode", 3.3705),
        (2, 300, None, "decode", 2.2947),
    ],
    "clip-vit-l-14": [(3, 77, 224, "inference", 525.976), (2, 33, 224, "inference", 335.345)],
    "convnext-base": [(3, None, 224, "inference", 92.128), (2, None, 256, "inference", 80.219)],
    "deit-base": [(3, None, 224, "inference", 105.383)],
    "dinov2-base": [(3, None, 224, "inference", 138.967), (2, None, 256, "inference", 118.788)],
    "distilbert-base": [(3, 37, None, "inference", 9.503), (2, 200, None, "inference", 35.448)],
    "efficientnet-b0": [(3, None, 224, "inference", 2.315), (2, None, 256, "inference", 2.013)],
    "falcon-7b": [
        (3, 37, None, "inference", 1538.944),
        (2, 200, None, "inference", 5583.667),
        (3, 57, None, "decode", 41.6297),
        (2, 300, None, "decode", 28.0358),
    ],
    "gpt-neo-1.3b": [
        (3, 37, None, "inference", 291.824),
        (2, 200, None, "inference", 1064.437),
        (3, 57, None, "decode", 7.8995),
        (2, 300, None, "decode", 5.3619),
    ],
    "gpt2": [
        (3, 37, None, "inference", 27.576),
        (2, 200, None, "inference", 101.775),
        (3, 57, None, "decode", 0.7476),
        (2, 300, None, "decode", 0.5163),
    ],
    "internlm-7b": [
        (3, 37, None, "inference", 1533.638),
        (2, 200, None, "inference", 5560.808),
        (3, 57, None, "decode", 41.4827),
        (2, 300, None, "decode", 27.9099),
    ],
    "mistral-7b": [
        (3, 37, None, "inference", 1580.661),
        (2, 200, None, "inference", 5730.258),
        (3, 57, None, "decode", 42.7536),
        (2, 300, None, "decode", 28.7572),
    ],
    "mobilenet-v2": [(3, None, 224, "inference", 1.805), (2, None, 256, "inference", 1.57)],
    "opt-1.3b": [
        (3, 37, None, "inference", 291.831),
        (2, 200, None, "inference", 1064.462),
        (3, 57, None, "decode", 7.8997),
        (2, 300, None, "decode", 5.362),
    ],
    "phi-3-mini": [
        (3, 37, None, "inference", 827.983),
        (2, 200, None, "inference", 3009.361),
        (3, 57, None, "decode", 22.4027),
        (2, 300, None, "decode", 15.1262),
    ],
    "pythia-1.4b": [
        (3, 37, None, "inference", 291.846),
        (2, 200, None, "inference", 1064.514),
        (3, 57, None, "decode", 7.9001),
        (2, 300, None, "decode", 5.3623),
    ],
    "qwen2.5-7b": [
        (3, 37, None, "inference", 1571.252),
        (2, 200, None, "inference", 5688.341),
        (3, 57, None, "decode", 42.4916),
        (2, 300, None, "decode", 28.5228),
    ],
    "redpajama-3b": [
        (3, 37, None, "inference", 588.689),
        (2, 200, None, "inference", 2142.765),
        (3, 57, None, "decode", 15.9311),
        (2, 300, None, "decode", 10.78),
    ],
    "regnet-y-4gf": [(3, None, 224, "inference", 23.84), (2, None, 256, "inference", 20.754)],
    "resnet-50": [(3, None, 224, "inference", 24.535), (2, None, 256, "inference", 21.361)],
    "roberta-base": [(3, 37, None, "inference", 19.01), (2, 200, None, "inference", 70.899)],
    "stablelm-3b": [
        (3, 37, None, "inference", 593.272),
        (2, 200, None, "inference", 2159.28),
        (3, 57, None, "decode", 16.055),
        (2, 300, None, "decode", 10.8626),
    ],
    "swin-base": [(3, None, 224, "inference", 92.586)],
    "t5-base": [(3, 37, None, "inference", 49.928)],
    "tinyllama-1.1b": [
        (3, 37, None, "inference", 230.381),
        (2, 200, None, "inference", 841.954),
        (3, 57, None, "decode", 6.2379),
        (2, 300, None, "decode", 4.2462),
    ],
    "vit-base": [(3, None, 224, "inference", 105.383)],
    "wav2vec2-base": [(2, 137, None, "inference", 77.696)],
    "whisper-large-v3": [(2, 11, None, "inference", 5217.352)],
    "yi-6b": [
        (3, 37, None, "inference", 1289.448),
        (2, 200, None, "inference", 4680.843),
        (3, 57, None, "decode", 34.883),
        (2, 300, None, "decode", 23.5101),
    ],
}
