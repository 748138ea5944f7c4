"""The same plan on a Ray cluster of two local nodes: what is measured and decided is the same, byte for byte."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from projects import WINNOW, Project, make_project, prose

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = pytest.mark.slow

RAY = Path(sys.executable).parent / "ray"
STARTED_WITHIN = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two nodes with one CPU each, as docs/standalone.md starts them; the variables that name them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    head = ["--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false"]
    log = tmp_path_factory.mktemp("ray") / "log"
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    nodes = []
    with log.open("w") as said:
        try:
            for place in (head, [f"--address={address}"]):
                command = [str(RAY), "start", *place, "--num-cpus=1", "--block"]
                nodes.append(
                    subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
                )
                _wait_for_nodes(address, len(nodes), log)
            yield {"RAY_ADDRESS": address}
        finally:
            for node in reversed(nodes):
                node.terminate()
                node.wait(60)


def _wait_for_nodes(address: str, wanted: int, log: Path) -> None:
    count = "import ray; ray.init(log_to_driver=False); print(sum(node['Alive'] for node in ray.nodes()))"
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline:
        found = subprocess.run(
            [sys.executable, "-c", count],
            env=os.environ | {"RAY_ADDRESS": address},
            capture_output=True,
            text=True,
        )
        if found.stdout.strip() == str(wanted):
            return
        time.sleep(1)
    raise TimeoutError(f"{wanted} nodes did not start: {log.read_text()[-2000:]}")


def test_decisions_are_the_same(cluster: dict[str, str], tmp_path: Path) -> None:
    dice = Random(5)
    with (tmp_path / "pages.jsonl").open("w", encoding="utf-8") as file:
        for number in range(9000):
            text = prose(dice, sentences=number % 12)
            file.write(json.dumps({"id": number, "text": text}) + "\n")
    for place, more in (("here", ()), ("there", ("--engine", "ray", "--workers", "2"))):
        command = [str(WINNOW), "filter", "pages.jsonl", "--out", place, "--no-dedup", *more]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | cluster, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for name in ("decisions.parquet", "kept.parquet"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert pq.read_metadata(tmp_path / "there" / "decisions.parquet").num_rows == 9000


def test_the_lake_is_the_same(cluster: dict[str, str], green: Project, tmp_path: Path) -> None:
    project = make_project(tmp_path / "there")
    done = project.winnow("run", **cluster, WINNOW_ENGINE="ray", WINNOW_WORKERS="2")
    assert done.returncode == 0, done.stdout
    for table in ("filtered.signals", "filtered.duplicates", "filtered.verdicts", "filtered.decisions"):
        here, there = (
            each.lake.query(f"SELECT * EXCLUDE (run_id) FROM {table} ORDER BY ALL")
            for each in (green, project)
        )
        assert here.num_rows > 0
        assert here.equals(there), table
