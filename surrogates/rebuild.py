"""Everything from nothing: the corpus from its upstreams, every surrogate, every card and the open table.

    python -m surrogates.rebuild
    python -m surrogates.rebuild --from-root clones/ --offline     # upstream clones that are here already
    python -m surrogates.rebuild --corpus ../shared/corpus         # a corpus that is built already

Runs the steps below one after another, each in a process of its own with a log in the work folder. A step that is done
is not run again, and one that was stopped goes on from its own checkpoints. Times go to rebuild.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from hetbench.errors import command
from surrogates.whole.rows import OWN
from surrogates.writing import write_json

Step = tuple[str, list[str]]


def steps(corpus: Path, work: Path, fetch: list[str] | None) -> list[Step]:
    """Modules and their words, in order; `fetch` are words for the build of the corpus, None where it is there."""
    rows = ["--rows", str(work / "models" / "rows.parquet")]
    served = ["--rows", str(work / "serving" / "rows.parquet")]
    held = ["--held", str(work / "serving" / "held.parquet")]
    operators, models = ["--work", str(work / "operators")], ["--work", str(work / "models")]
    own = [str(path) for path in sorted(OWN.glob("*.parquet"))]
    built = [] if fetch is None else [("data_collection.sources", ["build", "--out", str(corpus), *fetch])]
    return [
        *built,
        ("data_collection.tables.model_rows", ["--corpus", str(corpus), "--out", rows[1]]),
        ("surrogates.peers.neusight", ["--corpus", str(corpus), *operators]),  # the card of the next step holds it
        ("surrogates.train", ["--corpus", str(corpus), *operators]),
        ("surrogates.rgat", operators),
        *(("surrogates.add", [path]) for path in own),
        ("surrogates.whole", [*rows, *models]),
        ("surrogates.whole.transfer", models),
        ("surrogates.whole.sums", [*rows, *models]),
        *(("surrogates.whole.end_to_end", [path]) for path in own),
        ("surrogates.power", ["--corpus", str(corpus), *rows]),
        ("surrogates.training", ["--corpus", str(corpus), *rows]),
        ("data_collection.tables.serving_rows", ["--corpus", str(corpus), "--out", served[1]]),
        ("data_collection.tables.serving_evidence", served),
        ("surrogates.serving.collectives", ["--corpus", str(corpus)]),
        ("surrogates.serving", [*served, *held]),
        ("surrogates.whole.offsets", [*models, "--serving", held[1]]),
        ("surrogates.whole.memory", []),
        ("surrogates.knowledge", ["--corpus", str(corpus)]),
        ("surrogates.publish.report", []),
    ]


@command("stopped; the same command goes on from here")
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/rebuild"), help="corpus, caches, checkpoints and logs")
    parser.add_argument("--corpus", type=Path, help="a corpus that is there; else one is built in the work folder")
    parser.add_argument("--from-root", type=Path, help="folder of upstream clones or unpacked archives")
    parser.add_argument("--offline", action="store_true", help="never fetch")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args()
    fetch = [] if options.from_root is None else ["--from-root", str(options.from_root)]
    fetch += ["--offline"] if options.offline else []
    found = steps(options.corpus or options.work / "corpus", options.work, None if options.corpus else fetch)
    if options.dry_run:
        print("\n".join(f"python -m {module} {shlex.join(words)}".rstrip() for module, words in found))
        return 0
    for folder in ("operators", "models"):
        (options.work / folder).mkdir(parents=True, exist_ok=True)
    return run(found, options.work)


def run(found: list[Step], work: Path) -> int:
    """Run what rebuild.json of the work folder does not call done; the exit code of the step that failed, or 0."""
    path = work / "rebuild.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    for number, (module, words) in enumerate(found, 1):
        command = shlex.join(["python", "-m", module, *words])
        if command in done:
            print(f"[{number}/{len(found)}] {command}: done in {done[command]} s", flush=True)
            continue
        print(f"[{number}/{len(found)}] {command}", flush=True)
        log, began = work / f"{number:02d}-{module.rpartition('.')[2]}.log", time.time()
        with log.open("w", encoding="utf-8") as file:
            code = subprocess.run([sys.executable, "-m", module, *words], stdout=file, stderr=subprocess.STDOUT,
                                  check=False).returncode  # fmt: skip
        if code:
            last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-5:])
            print(f"{last}\nstopped with exit code {code}; the whole log is {log}. The same command goes on from here.")
            return code
        done[command] = round(time.time() - began)
        write_json(path, done, indent=1)
    print(f"{len(found)} steps in {sum(done.values()) / 60:.0f} minutes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
