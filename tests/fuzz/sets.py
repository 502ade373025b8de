"""Sets of surrogates with one thing changed: refused when they are checked, or every question to them ends well."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hetbench import HetBench, HetBenchError
from hetbench.artifacts import MANIFEST, Manifest
from hetbench.artifacts.sets import EMBEDDED, folder_of
from tests.fuzz.questions import ANSWERED, REFUSED, check_answer, refusal
from tests.fuzz.values import number, text

__all__ = ["changed_set", "sheet"]

_ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("query", {"model": "bert-tiny", "target": "cuda", "precision": "fp16"}),
    ("query", {"model": "gpt2", "target": "cann"}),
    ("query", {"model": "resnet-50", "target": "mlu"}),
    ("query", {"model": "llama-2-7b", "target": "rocm", "metric": "latency"}),
    ("query", {"model": "gpt2", "target": "oneapi", "source": "cuda", "source_value": 2.0, "metric": "latency"}),
    (
        "query",
        {
            "model": "resnet-50",
            "target": "amd-epyc-zen4-2vcpu-kvm",
            "metric": ("latency", "memory"),
            "phase": "inference",
        },
    ),
    ("query", {"model": "gpt2", "target": "cuda", "phase": "decode", "stack": "eager", "metric": "latency"}),
    ("query", {"model": "Qwen/Qwen3-32B", "target": "nvidia-h200-sxm-141gb", "phase": "serving", "chips": 2}),
    ("query_operator", {"op": "Linear", "dims": {"m": 64, "n": 64, "k": 64}, "device": "cuda", "predictor": "rgat"}),
    ("query_operator", {"op": "Softmax", "dims": {"rows": 64, "cols": 64}, "device": "cann", "precision": "fp16"}),
    (
        "query_operator",
        {
            "op": "Add",
            "dims": {"numel": 4096},
            "device": "amd-epyc-zen4-2vcpu-kvm",
            "precision": "fp32",
            "protocol": "wall",
        },
    ),
)


def _json_places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    places = [at]
    if isinstance(value, dict):
        for key, inner in value.items():
            places += _json_places(inner, (*at, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) // 2, len(value) - 1} & set(range(len(value)))):
            places += _json_places(value[index], (*at, index))
    return places


def _bad_json(draw: random.Random) -> Any:
    found = draw.choice(
        (None, True, "", text(draw), [], {}, [[]], -1, 0, 1e301, -1e9, 2**70, 0.5, "0.5", [1, 2], number(draw))
    )
    try:
        json.dumps(found)
    except (TypeError, ValueError):
        return 1e-320
    return found


def _change_json(draw: random.Random, path: Path) -> None:
    data = json.loads(path.read_text())
    *above, last = draw.choice(_json_places(data)[1:])
    holder = data
    for key in above:
        holder = holder[key]
    way = draw.random()
    if way < 0.25:
        del holder[last]
    elif way < 0.35 and isinstance(holder, dict):
        holder[text(draw)] = holder.pop(last)
    elif way < 0.45 and isinstance(holder, list):
        holder.append(holder[last])
    else:
        holder[last] = _bad_json(draw)
    path.write_text(json.dumps(data))


def _change_array(draw: random.Random, array: Any) -> Any:
    flat = array.copy().reshape(-1)
    way = draw.randrange(9)
    if way < 3 and flat.size:
        with np.errstate(all="ignore"):
            flat[draw.randrange(flat.size)] = np.array(draw.choice((-1, 0, 1e30, np.nan, np.inf, 2**31 - 1))).astype(
                flat.dtype
            )
        return flat.reshape(array.shape)
    return (
        array[..., None],
        array[:0] if array.ndim else array,
        array.astype(np.float64),
        array.astype("U8"),
        array[:-1] if array.ndim and len(array) > 1 else array,
        array * 0,
    )[way - 3]


def _change_npz(draw: random.Random, path: Path) -> None:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = draw.choice(list(arrays))
    if draw.random() < 0.2:
        given = text(draw).replace("\0", "")[:40].encode("utf-8", "ignore").decode()  # what an archive can name
        arrays[f"{given}x"] = arrays.pop(name)
    else:
        arrays[name] = _change_array(draw, arrays[name])
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def _change_bytes(draw: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    way = draw.randrange(5)
    if way == 0:
        data[at] ^= 1 << draw.randrange(8)
    path.write_bytes((bytes(data), bytes(data[:at]), b"", b"\x80\x04K\x01.", bytes(data) + b"\0")[way])


def changed_set(draw: random.Random, scratch: Path) -> str:
    """One file of a set with a changed value, array or byte; with a manifest any change must be found."""
    folder = scratch / f"set-{draw.randrange(10**9)}"
    folder.mkdir()
    try:
        for path in EMBEDDED.iterdir():
            os.link(path, folder / path.name) if _linked(path, folder) else shutil.copyfile(path, folder / path.name)
        closed = draw.random() < 0.25
        if closed:
            made = Manifest.of(folder, "fuzz", "0", "0").to_json()
            (folder / MANIFEST).write_text(made)
        path = draw.choice(sorted(folder.iterdir()))
        before = path.read_bytes()
        path.unlink()
        path.write_bytes(before)
        change = {".json": _change_json, ".npz": _change_npz}.get(path.suffix, _change_bytes)
        (_change_bytes if draw.random() < 0.15 else change)(draw, path)
        return _asked(folder, path, unseen=closed and path.read_bytes() != before and path.name != MANIFEST)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _linked(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev


def _asked(folder: Path, path: Path, *, unseen: bool) -> str:
    try:
        folder_of(folder)
    except HetBenchError as why:
        return refusal(why)
    assert not unseen, f"{path.name} was changed and its manifest still holds"
    api, outcomes = HetBench(artifacts=folder), []
    for method, asked in _ASKED:
        try:
            check_answer(getattr(api, method)(**asked))
            outcomes.append(ANSWERED)
        except HetBenchError as why:
            outcomes.append(refusal(why))
    return ANSWERED if ANSWERED in outcomes else REFUSED


_SHEET: dict[str, Any] = {
    "name": "x-npu",
    "family": "cann",
    "kind": "npu",
    "mem_gb": 64,
    "mem_bw_gbs": 1600,
    "fp16_tflops": 320,
    "fp32_tflops": 80,
    "int8_tops": 640,
    "tdp_w": 310,
    "boost_mhz": 1800,
    "compute_units": 24,
    "l2_mb": 192,
}


def sheet(draw: random.Random, scratch: Path) -> str:
    """A datasheet with bad or implausible figures, as a mapping or as a file of any bytes."""
    made = dict(_SHEET)
    name = draw.choice(list(made))
    value = made[name]
    if isinstance(value, int) and draw.random() < 0.4:
        made[name] = value * draw.choice((1000, 1e6, 1e-3, 1e-6, 1e12))
    elif draw.random() < 0.3:
        made[text(draw)] = made.pop(name)
    else:
        made[name] = _bad_json(draw)
    api = HetBench()
    given: Any = made
    if draw.random() < 0.5:
        given = scratch / draw.choice(("sheet.json", "sheet.toml", "sheet", "sheet.txt"))
        data = json.dumps(made).encode()
        if draw.random() < 0.5:
            at = draw.randrange(len(data))
            data = draw.choice(
                (
                    data[:at],
                    data[:at] + b"\xff" + data[at:],
                    b"\xef\xbb\xbf" + data,
                    data.decode().encode("utf-16"),
                    b"[" * 50_000,
                    b'{"a":' * 50_000,
                    b"",
                    b"\0" * 100,
                    b"name = 'x'\nname = 'y'",
                    b"a" * 10**6,
                )
            )
        given.write_bytes(data)
    try:
        chip = api.add_chip(given)
        found = api.query_operator("Linear", {"m": 256, "n": 256, "k": 256}, device=chip.name, precision="fp16")
    except HetBenchError as why:
        return refusal(why)
    check_answer(found)
    assert isinstance(chip.name, str)
    assert chip.name.strip()
    for fact in ("mem_bw_gbs", "fp16_tflops", "mem_gb"):
        stated, usual = getattr(chip, fact), _SHEET[fact]
        assert stated is None or usual / 300 < stated < usual * 300, f"taken with {fact}={stated!r:.40}"
    return ANSWERED
