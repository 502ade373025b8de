"""Journals, manifests and contributed rows that somebody edited: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import csv
import json
import random
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hetbench import HetBench, HetBenchError
from tests.fuzz.questions import ANSWERED, REFUSED, check_answer, refusal
from tests.fuzz.values import hostile, number, slip, text

__all__ = ["configuration", "contribution", "store"]

_ROW: dict[str, Any] = {
    "kind": "operator",
    "name": "Linear",
    "dims": '{"k": 8, "m": 2, "n": 4}',
    "precision": "fp32",
    "phase": "fwd",
    "stack": "eager",
    "protocol": "wall",
    "threads": 2,
    "family": "oneapi",
    "chip": "amd-epyc-zen4-2vcpu-kvm",
    "software": "torch 2.13.0",
    "status": "ok",
    "latency_ms": 0.5,
    "raw_ms": (0.4, 0.5),
    "environment": "0123456789ab",
    "run": "",
    "started": "2026-11-25T00:00:00+00:00",
}


def store(draw: random.Random, scratch: Path) -> str:
    """A store with the journal of a killed run, edited by hand: rows and quarantine are all lines that there were."""
    from data_collection.store import Row, connect, open_run, read, recover

    folder = scratch / f"store-{draw.randrange(10**9)}"
    try:
        with open_run(folder, {"id": "0123456789ab"}, ["fuzz"]) as run:
            good = Row(**{**_ROW, "run": run.name})
            for threads in range(1, 4):
                run.append(replace(good, threads=threads))
        lines = [_line(draw, asdict(replace(good, threads=10 + at)), spoil=draw.random() < 0.4) for at in range(4)]
        journal = folder / "journals" / f"{run.name}.jsonl"
        journal.write_bytes(b"".join(line + b"\n" for line in lines))
        manifest = folder / "runs" / f"{run.name}.json"
        if draw.random() < 0.3:
            manifest.write_bytes(_broken(draw, manifest.read_bytes()))
        wanted = sum(1 for line in b"".join(line + b"\n" for line in lines).split(b"\n") if line)
        done = recover(folder)
        if not done:  # the manifest cannot be read: everything stays
            assert journal.exists(), "a journal went without a word"
            assert read(folder).skipped, "nothing said of a manifest that cannot be read"
            return REFUSED
        kept = sum(
            sum(1 for each in path.read_bytes().split(b"\n") if each)
            for path in (folder / "quarantine").glob("*.jsonl")
        )
        assert done[run.name] + kept == wanted, f"{done[run.name]} rows + {kept} kept of {wanted} lines"
        contents = read(folder)
        (count,) = connect(contents).execute("SELECT count(*) FROM every_row").fetchone()
        assert count + sum("left out" in each and "parquet" in each for each in contents.skipped) * 3 >= done[run.name]
        assert bool(kept) <= bool(contents.skipped), "nothing said of what is in quarantine"
        with open_run(folder, {"id": "0123456789ab"}) as again:
            again.append(replace(good, run=again.name))
        return ANSWERED
    except HetBenchError as why:
        return refusal(why)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _line(draw: random.Random, values: dict[str, Any], *, spoil: bool) -> bytes:
    values["raw_ms"] = list(values["raw_ms"])
    if spoil:
        name = draw.choice(list(values))
        way = draw.random()
        if way < 0.1:
            del values[name]
        elif way < 0.3 and isinstance(values[name], str):
            values[name] = slip(draw, values[name])
        else:
            values[name] = draw.choice((number, text, hostile))(draw)
    try:
        made = json.dumps(values).encode()
    except (TypeError, ValueError, RecursionError):
        made = b"[" * 2000
    return _broken(draw, made) if spoil and draw.random() < 0.2 else made


def _broken(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data) + 1)
    return draw.choice(
        (
            data[:at],
            data[:at] + b"\xff\xfe" + data[at:],
            b"",
            b"null",
            b"[]",
            b"{" * 5000,
            data + data,
            b"\0" * 9,
            data.replace(b":", b":-"),
            data.replace(b'"', b"'"),
            data.upper(),
        )
    )


def _rows(draw: random.Random) -> list[dict[str, Any]]:
    base = {"chip": "nvidia-t4", "op": "Linear", "dtype": "fp16", "protocol": "event"}
    return [
        {**base, "dims": json.dumps({"m": 8 * (at + 1), "n": 64, "k": 64}), "latency_ms": 0.02 + 0.001 * at}
        for at in range(6)
    ]


def contribution(draw: random.Random, scratch: Path) -> str:
    """A file of rows for `surrogates.add`: read whole, or refused with the bad row named."""
    from surrogates.add import read

    rows = _rows(draw)
    spoilt = draw.random() < 0.8
    if spoilt:
        row = draw.choice(rows)
        name = draw.choice(list(row))
        before, row[name] = row[name], draw.choice((number, text, hostile))(draw)
        if isinstance(before, str) and draw.random() < 0.2:
            row[name] = slip(draw, before)
    path = scratch / draw.choice(("rows.csv", "rows.parquet"))
    columns = [each for each in rows[0] if not spoilt or draw.random() < 0.97]
    if path.suffix == ".csv" or not _parquet(rows, columns, path):
        path = path.with_suffix(".csv")
        with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as stream:
            writer = csv.writer(stream, delimiter=draw.choice(",,,,;\t"))
            writer.writerow(columns)
            for row in rows:
                writer.writerow([_text(row[name]) for name in columns])
    if draw.random() < 0.15:
        path.write_bytes(_broken(draw, path.read_bytes()))
    try:
        frames, _ = read(path)
    except HetBenchError as why:
        return refusal(why)
    assert sum(map(len, frames.values())) == len(rows), "rows went missing without a word"
    return ANSWERED


def _text(value: Any) -> str:
    try:
        return str(value).replace("\0", "")
    except Exception:  # noqa: BLE001 - hostile values raise anything
        return "?"


def _parquet(rows: list[dict[str, Any]], columns: list[str], path: Path) -> bool:
    import pandas as pd

    try:
        pd.DataFrame({name: [row[name] for row in rows] for name in columns}).to_parquet(path)
    except Exception:  # noqa: BLE001 - what Parquet cannot hold goes into CSV
        return False
    return True


_CONFIGURATIONS = (
    {
        "model_type": "llama",
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "vocab_size": 1000,
        "num_key_value_heads": 2,
    },
    {
        "model_type": "bert",
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 256,
    },
    {
        "model_type": "mixtral",
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "vocab_size": 1000,
    },
    {
        "model_type": "vit",
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    },
    {"model_type": "t5", "d_model": 128, "num_layers": 2, "num_heads": 2, "d_ff": 256, "d_kv": 64, "vocab_size": 500},
    {"model_type": "whisper", "d_model": 128, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2},
    {"model_type": "qwen2_moe", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_experts": 4},
)


def configuration(draw: random.Random, scratch: Path) -> str:
    """A Hugging Face configuration with a bad value, as a mapping or as a file."""

    made: dict[Any, Any] = dict(draw.choice(_CONFIGURATIONS))
    for _ in range(draw.choice((1, 1, 2))):
        name = draw.choice(
            (
                *made,
                "head_dim",
                "rope_scaling",
                "quantization_config",
                "text_config",
                "hidden_act",
                "tie_word_embeddings",
            )
        )
        made[name] = draw.choice((number, number, text, hostile))(draw)
    given: Any = made
    if draw.random() < 0.4:
        given = scratch / "config.json"
        try:
            packed = json.dumps(made).encode()
        except (TypeError, ValueError, RecursionError):
            packed = b"{" * 3000
        given.write_bytes(_broken(draw, packed) if draw.random() < 0.3 else packed)
    try:
        found = HetBench().query(
            given, target=draw.choice(("cuda", "cann")), metric=draw.choice(("latency", "flops", "params", "memory"))
        )
    except HetBenchError as why:
        return refusal(why)
    check_answer(found)
    return ANSWERED
