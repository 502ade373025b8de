"""kill -9 at random moments in everything that writes: what was there before stays, nothing is lost, nothing is twice.

    python -m tests.benchmarks.kills --count 100                     # all kinds
    python -m tests.benchmarks.kills --count 20 --kind store download

Each kind runs its command in a process of its own, kills it and its children after a random share of the time that it
takes, and looks at what is left; the command goes on or starts again. The table at the end counts kills, those that hit
before the command had ended, rows or files lost, counted twice, and what could not be read afterwards. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHIP = "amd-epyc-zen4-2vcpu-kvm"
MEASURED = ROOT / "data_collection" / "measurements" / f"{CHIP}.parquet"
SUITE = """
[budget]
seconds = 0.02
min_seconds = 0.0
patience = 0
retries = 0
[[operators]]
models = ["bert-tiny"]
batch = [1, 2, 3, 4, 5, 6, 7, 8]
threads = [1]
"""
ROWS = 400  # of a run that does nothing but append


@dataclass
class Tally:
    """What happened in one kind."""

    kills: int = 0
    inside: int = 0
    lost: int = 0
    twice: int = 0
    unreadable: int = 0
    said: list[str] = field(default_factory=list)


def run(work: Callable[[], Any], told: Path, after_s: float = 1e9) -> bool:
    """Run `work` in a process of its own, its output into a file, for at most so long; whether it was killed.

    The process is a fork, so that modules are imported once; it leads a group, which is killed as a whole.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        place = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(place, 1)
        os.dup2(place, 2)
        try:
            work()
            sys.stdout.flush()
        except SystemExit as done:
            os._exit(int(done.code or 0))
        except BaseException as why:  # noqa: BLE001 - told to the parent by the file
            os.write(2, repr(why).encode())
            os._exit(70)
        os._exit(0)
    until = time.monotonic() + after_s
    while time.monotonic() < until:
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            return False
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def asked(question: Callable[[], Any], told: Path) -> Any:
    """What `question` returns in a process of its own; None where it fails."""
    run(lambda: print("\n" + json.dumps(question())), told)
    with suppress(ValueError, IndexError):
        return json.loads(told.read_text(errors="replace").splitlines()[-1])
    return None


def append(store: Path) -> None:
    """Append rows to a store, and say each that is safe."""
    from dataclasses import replace

    from data_collection.store import Row, open_run

    good = Row(
        kind="operator", name="Linear", dims="", precision="fp32", phase="fwd", stack="eager", protocol="wall",
        threads=1, family="oneapi", chip=CHIP, software="torch 2.13.0", status="ok",
        latency_ms=0.5, environment="0123456789ab", run="", started="2026-11-25T00:00:00+00:00",
    )  # fmt: skip
    with open_run(store, {"id": "0123456789ab"}, ["kills"]) as opened:
        for m in range(1, ROWS):
            opened.append(replace(good, run=opened.name, dims=json.dumps({"k": 8, "m": m, "n": 4})))
            os.write(1, b"row\n")


def contents(store: Path) -> list[Any]:
    """Rows of a store after recovery, rows but for repetitions within a run, and what it says is wrong."""
    from data_collection.store import connect, read, recover

    if not (store / "runs").is_dir():
        return [0, 0, []]
    recover(store)
    found = read(store)
    columns = "kind, name, dims, batch, precision, threads, run"
    query = f"SELECT count(*), count(DISTINCT ({columns})) FROM every_row"
    return [*connect(found).execute(query).fetchone(), found.skipped]


def time_operators(folder: Path) -> None:
    """Append rows to the journal of a calibration, and say each that is safe; it goes on where it was killed."""
    from data_collection.calibrate.measure import Timed, _append, read_timed
    from data_collection.profile.tasks import Task

    journal = folder / "runs" / "x.journal.jsonl"
    for m in range(len(read_timed(journal)) + 1, ROWS):
        task = Task(kind="operator", name="Linear", dims=json.dumps({"k": 8, "m": m, "n": 4}), precision="fp32",
                    phase="fwd", stack="eager", layout="contiguous", cache="hot", protocol="wall",
                    threads=1)  # fmt: skip
        _append(journal, Timed(task, 0.5, False))
        os.write(1, b"row\n")


def timed(folder: Path) -> list[Any]:
    """Rows of a calibration's journal, rows but for repetitions, and lines that were set aside."""
    from data_collection.calibrate.measure import read_timed

    rows = read_timed(folder / "runs" / "x.journal.jsonl")
    aside = [path.read_text() for path in (folder / "runs").glob("*.quarantine.jsonl")]
    return [len(rows), len(set(rows)), aside]


def measuring(
    work: Callable[[Path], Any], *, tells: bool, look: Callable[[Path], list[Any]] = contents
) -> Callable[[Path, int, random.Random], Tally]:
    """Kills of what appends rows to a store; with `tells` it prints a line for each row that is safe."""

    def kill(scratch: Path, count: int, draw: random.Random) -> Tally:
        tally, store, told, before = Tally(), scratch / "store", scratch / "told", 0
        start = time.monotonic()
        run(lambda: work(scratch / "first"), told)
        whole = time.monotonic() - start
        while tally.kills < count:
            inside = run(lambda: work(store), told, whole * draw.uniform(0.05, 1.0))
            safe = told.read_text(errors="replace").count("row\n") if tells else 0
            seen = asked(lambda: look(store), scratch / "asked")
            rows, distinct, wrong = seen or [0, 0, ["cannot be read"]]
            tally.kills += 1
            tally.inside += inside
            tally.lost += max(0, before + safe - rows)
            tally.twice += rows - distinct
            tally.unreadable += len(wrong)
            tally.said += wrong
            before = rows
            if not inside:  # done: from the start again
                shutil.rmtree(store, ignore_errors=True)
                before = 0
        return tally

    return kill


def replacing(
    work: Callable[[Path], Any], fault: Callable[[Path], str], prepare: Callable[[Path], Any] = lambda scratch: None
) -> Callable[[Path, int, random.Random], Tally]:
    """Kills of what replaces a file or a folder: after each it is what it was or what was made, whole."""

    def kill(scratch: Path, count: int, draw: random.Random) -> Tally:
        tally, told = Tally(), scratch / "told"
        run(lambda: prepare(scratch), told)
        start = time.monotonic()
        run(lambda: work(scratch), told)
        whole = time.monotonic() - start
        for _ in range(count):
            tally.inside += run(lambda: work(scratch), told, whole * draw.uniform(0.1, 1.05))
            tally.kills += 1
            said = asked(lambda: fault(scratch), scratch / "asked")
            tally.lost += said == "gone"
            tally.unreadable += said not in ("", "gone")
            tally.said += [] if said == "" else [str(said)]
        run(lambda: work(scratch), told)
        said = asked(lambda: fault(scratch), scratch / "asked")
        tally.unreadable += said != ""
        return tally

    return kill


def profile(store: Path) -> None:
    from data_collection.profile.__main__ import main

    words = "--models bert-tiny --seconds 0.02 --min-seconds 0 --repeats 3 --patience 0 --retries 0 --threads 1"
    raise SystemExit(main(["operators", *words.split(), "--batch", *"12345678", "--chip", CHIP, "--store", str(store)]))


def suite(store: Path) -> None:
    from data_collection.suite.__main__ import main

    path = store.with_suffix(".toml")
    path.write_text(SUITE)
    raise SystemExit(main(["run", str(path), "--chip", CHIP, "--store", str(store)]))


def publish_rows(scratch: Path) -> None:
    from data_collection.store.__main__ import main

    raise SystemExit(main(["publish", str(scratch / "rows.parquet"), "--store", str(scratch / "rows")]))


def rows_fault(scratch: Path) -> str:
    import pyarrow.parquet as pq

    path = scratch / "rows.parquet"
    if not path.exists():
        return "gone"
    return "" if pq.read_table(path).num_rows == ROWS - 1 else "another number of rows"


def publish_set(scratch: Path) -> None:
    from hetbench.artifacts.sets import EMBEDDED
    from surrogates.publish.publish import to_folder

    to_folder(EMBEDDED, scratch / "set", "kills")


def set_fault(scratch: Path) -> str:
    from hetbench.artifacts import verify

    folder = scratch / "set"
    if not folder.exists():  # set aside for a moment: the next run puts it back
        folder = next(scratch.glob(".set.old*"), folder)
    if not folder.exists():
        return "gone"
    verify(folder)
    return ""


def download(scratch: Path) -> None:
    from hetbench.artifacts.download import download as fetch

    os.environ["HETBENCH_HOME"] = str(scratch / "home")
    shutil.rmtree(scratch / "home" / "artifacts" / "again", ignore_errors=True)
    fetch(str(scratch / "set"), "again")


def download_fault(scratch: Path) -> str:
    """A set is installed whole or not at all, and the one beside it stays."""
    from hetbench.artifacts import verify

    os.environ["HETBENCH_HOME"] = str(scratch / "home")
    found = [path.parent for path in (scratch / "home" / "artifacts").glob("*/*/manifest.json")]
    for folder in found:
        if not folder.name.startswith("."):
            verify(folder)
    return "" if any(folder.parent.name == "kept" for folder in found) else "gone"


def prepare_download(scratch: Path) -> None:
    from hetbench.artifacts.download import download as fetch

    publish_set(scratch)
    os.environ["HETBENCH_HOME"] = str(scratch / "home")
    fetch(str(scratch / "set"), "kept")


def add(scratch: Path) -> None:
    from surrogates.add import main

    main([str(scratch / "few.csv"), "--out", str(scratch / "taught"), "--replace"])


def prepare_add(scratch: Path) -> None:
    import pandas as pd

    from hetbench.artifacts.sets import EMBEDDED

    shutil.copytree(EMBEDDED, scratch / "taught")
    rows = pd.read_parquet(MEASURED)
    rows = rows[rows.name.isin(["Add", "Mul", "GELU"])]
    rows[["chip", "name", "dims", "precision", "protocol", "latency_ms"]].to_csv(scratch / "few.csv", index=False)


def add_fault(scratch: Path) -> str:
    """The chip's two files are there together, or set aside for the next run."""
    from hetbench.artifacts import check_complete

    out, name = scratch / "taught", f"chip-{CHIP}.json"
    if not (out / name).exists():
        return "" if (out / f".{name}.old").exists() else "gone"
    check_complete(out)
    return ""


IMPORTED = {
    "profile": ("data_collection.profile.__main__",), "suite": ("data_collection.suite.__main__",),
    "add": ("surrogates.add", "catboost"), "calibrate": ("data_collection.calibrate.measure",),
}  # fmt: skip
"""What the first kind needs is imported once, before the forks."""
KINDS: dict[str, Callable[[Path, int, random.Random], Tally]] = {
    "store": measuring(append, tells=True), "profile": measuring(profile, tells=False),
    "suite": measuring(suite, tells=False), "calibrate": measuring(time_operators, tells=True, look=timed),
    "publish rows": replacing(publish_rows, rows_fault, lambda scratch: append(scratch / "rows")),
    "publish set": replacing(publish_set, set_fault), "download": replacing(download, download_fault, prepare_download),
    "add": replacing(add, add_fault, prepare_add),
}  # fmt: skip


def main() -> int:
    """Kill, and print the table; exit code 1 where something was lost, twice or unreadable."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--kind", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    for module in IMPORTED.get(words.kind[0], ("data_collection.store.__main__", "surrogates.publish.publish")):
        import_module(module)
    lines, bad = [], 0
    for kind in words.kind:
        with tempfile.TemporaryDirectory() as made:
            tally = KINDS[kind](Path(made), words.count, random.Random(f"{words.seed} {kind}"))
        bad += tally.lost + tally.twice + tally.unreadable
        lines.append(f"{kind:14}{tally.kills:6}{tally.inside:8}{tally.lost:6}{tally.twice:7}{tally.unreadable:12}")
        print(*tally.said[:5], lines[-1], sep="\n", flush=True)
    print(f"{'kind':14}{'kills':>6}{'inside':>8}{'lost':>6}{'twice':>7}{'unreadable':>12}", *lines, sep="\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
