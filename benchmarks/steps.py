"""What each step of the filter stage costs on one core: `python benchmarks/steps.py`.

English documents of about 4.6 kB, made of the passages of ../shared/data; each step goes over all of them in
this process three times after what it loads is loaded, and the median of the CPU seconds counts. The floor is
reading, parsing and writing alone. The figures go to `docs/measured/steps.json`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pyarrow as pa
from filtering import write_corpus
from reports import MEASURED, machine, save

from assets.filters import parity, plan
from assets.filters.contamination import index_items, load_benchmark, packaged_benchmarks
from assets.filters.duplicates import NearDuplicatePolicy
from assets.filters.language import identify
from assets.filters.signals import GROUP_VERSIONS, measure
from assets.rules import held, judge, load_rules, of_profile
from assets.sources.inputs import Reading, find_inputs
from orchestration.standalone import FORMATS

FLOOR = "floor: read, parse, write"


def steps(source: Path, out: Path, megabytes: float) -> dict[str, float]:
    """MB of text a CPU second, by step, each over all documents once what it loads is loaded."""

    def read() -> list[pa.Table]:
        return list(Reading(*find_inputs([str(source)])))

    def write(tables: list[pa.Table]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            kept = files.enter_context(FORMATS["parquet"](out / "kept.parquet"))
            for table in tables:
                kept(table)

    tables = read()
    index = index_items([load_benchmark(path) for path in packaged_benchmarks()])
    everything = plan.Plan(of_profile(load_rules(), "web"), near=NearDuplicatePolicy())
    evidence = [plan.examine(table, everything) for table in tables]
    rules = held(everything.rules, evidence[0].column_names)
    found: dict[str, float] = {}

    def cost(name: str, step: Callable[[], object]) -> None:
        step()
        taken = []
        for _ in range(3):
            started = time.process_time()
            step()
            taken.append(time.process_time() - started)
        found[name] = megabytes / statistics.median(taken)

    def each(function: Callable[[pa.Table], object]) -> Callable[[], object]:
        return lambda: [function(table) for table in tables]

    cost("read and parse JSONL.gz", read)
    cost("write Parquet", lambda: write(tables))
    found[FLOOR] = 1 / sum(1 / found[name] for name in list(found))
    for group in GROUP_VERSIONS:
        cost(f"signals, group {group} alone", each(partial(_measure, measure, [group])))
    cost("signals, all groups", each(partial(_measure, measure, None)))
    cost("signals of parity", each(lambda table: parity.measure(table["text"])))
    cost("language", each(lambda table: identify(table["text"])))
    cost("signatures and sketches", each(lambda table: plan.digests(table, everything.near)))
    cost("benchmark items", each(lambda table: plan.leaks(table, index)))
    cost("judge by the rules", lambda: [judge(known, rules) for known in evidence])
    return found


def _measure(measure: Callable, groups: list[str] | None, table: pa.Table) -> object:
    return measure(table["text"], groups)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--json", type=Path, default=MEASURED / "steps.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-steps-") as folder:
        source = Path(folder) / "in" / "documents.jsonl.gz"
        size = write_corpus(source, arguments.megabytes)
        rates = steps(source, Path(folder) / "out", size)
    for name, rate in rates.items():
        print(f"{name:40} {rate:8.1f} MB per CPU s")
    report = {"machine": machine(), "megabytes": size, "megabytes_per_cpu_second": rates}
    save(report, arguments.json)


if __name__ == "__main__":
    main()
