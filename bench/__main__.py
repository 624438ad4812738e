"""`python -m bench`: one measurement after the other, then the report."""

import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench import documented, drain, faults, growth, held, idle, insert, latency, pooler, priority, recovery, scale
from bench.as_json import as_json
from bench.document import write_between_marks
from bench.options import Options, read_options
from bench.plan import QUICK
from bench.report import as_markdown
from bench.results import Results
from bench.run import Run, say
from bench.stores import open_stores

_WORK = Path(".bench")
_BY_OURSELVES: dict[str, Callable[[Run], object]] = {  # what no peer takes part in; each name is one of Results
    "pooler": pooler.measure,
    "growth": growth.measure, "held": held.measure, "insert": insert.measure, "idle": idle.measure,
    "scale": scale.measure, "priority": priority.measure, "recovery": recovery.measure, "ways": documented.measure,
    "faults": faults.measure,
}  # fmt: skip


def main() -> None:
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds all contexts, which end their processes
    _WORK.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=_WORK, prefix="stores-") as folder,
        open_stores(Path(folder).resolve()) as stores,
    ):
        results = measure(Run(stores, _WORK.resolve(), options.plan), options)
    say("done")
    text = as_markdown(results, _heading(options))
    print(json.dumps(as_json(results)) if options.json else text)
    if options.file:
        write_between_marks(options.file, text)
    sys.exit(1 if results.failed else 0)


def measure(run: Run, options: Options) -> Results:
    results, plan, chosen = Results(failed=run.failed), options.plan, options.measurements
    if "drain" in chosen:
        results.drain = drain.measure(run, options.of(plan.drain_contestants))
    if "latency" in chosen:
        results.latency, results.idle_latency = latency.measure(
            run, options.of(plan.latency_contestants), options.of(plan.idle_latency_contestants)
        )
    for name, measured in _BY_OURSELVES.items():
        if name in chosen:
            with run.part(name):
                setattr(results, name, measured(run))
    return results


def _heading(options: Options) -> str:
    size = "A quick run: less of everything, rough figures. " if options.plan is QUICK else ""
    return (
        f"{size}{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}. Stores, clients and workers "
        "share the machine; fsync is on. No-op jobs on two worker processes with eight threads each, unless said."
    )


if __name__ == "__main__":
    main()
