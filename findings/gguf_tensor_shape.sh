#!/usr/bin/env bash
# gguf 0.19.0: a tensor that is written as [3, 5] is read back with shape [5, 3], and the columns of quantised data are bytes.
#
# Expected: GGUFReader's tensor.shape is the shape that GGUFWriter.add_tensor was given, and equals tensor.data.shape.
# Behaviour: tensor.shape lists the fastest dimension first (the order of the file), tensor.data.shape the slowest; for
#   quantised tensors data.shape counts bytes in its last dimension (64 weights in Q8_0 are 68 bytes). Reading
#   rows and columns of a weight matrix from tensor.shape swaps input and output features: products of the same
#   FLOPs with another latency, or a wrong KV size with grouped heads.
# Seen: float32 written [3, 5]: shape [5, 3], data (3, 5); Q8_0 of [4, 64]: shape [64, 4], data (4, 68)
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check gguf==0.19.0
"$folder/venv/bin/python" - "$folder/tensors.gguf" <<'PY'
import sys

import gguf
import numpy as np

writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_tensor("plain", np.zeros((3, 5), dtype=np.float32))
kind = gguf.GGMLQuantizationType.Q8_0
writer.add_tensor("quantised", gguf.quants.quantize(np.zeros((4, 64), dtype=np.float32), kind), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
found = {each.name: (each.shape.tolist(), each.data.shape) for each in gguf.GGUFReader(sys.argv[1]).tensors}
print(found)
sys.exit(0 if found == {"plain": ([5, 3], (3, 5)), "quantised": ([64, 4], (4, 68))} else 1)
PY
