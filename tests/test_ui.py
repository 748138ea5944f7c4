"""What a person sees and does in the Dagster UI, in a real browser: lineage, plots, checks, a repair."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect, sync_playwright
from projects import WINNOW, Project, prose

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM}"),
]

SECONDS = 1000
PATIENCE = 120 * SECONDS
LONG_PATIENCE = 400 * SECONDS

STAGES = ("raw", "filtered", "scored", "evaluated", "deployed")


@dataclass(frozen=True)
class Served:
    """A project whose UI `winnow dev` serves, and a browser's page on it."""

    project: Project
    address: str
    page: Page

    def open(self, path: str) -> Page:
        """A page of the UI; what is asked of it waits until it shows."""
        self.page.goto(self.address + path, wait_until="domcontentloaded")
        return self.page

    def asset(self, asset: str, view: str, **query: str) -> Page:
        """A tab of an asset's page."""
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return self.open(f"/assets/{asset}?view={view}{more}")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Three sources, one of them a CSV without its column, run once; then the UI as users start it."""
    project = _project(tmp_path_factory.mktemp("ui"))
    run = project.winnow("run")
    assert run.returncode == 1, run.stdout
    assert "letters.csv" in run.stdout
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    log = project.root / "dev.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [str(WINNOW), "dev", "--port", str(port)],
            env=project.environment,
            cwd=project.root,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(f"{address}/server_info", server, log)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(CHROMIUM),
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--no-first-run",
                ],
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            yield Served(project, address, page)
            browser.close()
    finally:
        _end(server)


def test_lineage_shows_the_stages_as_groups(ui: Served) -> None:
    page = ui.open("/asset-groups")
    for stage in STAGES:
        expect(page.locator("svg foreignObject").filter(has_text=re.compile(f"^{stage}"))).to_be_visible()


def test_the_schedule_and_the_sensor_run_from_the_first_start(ui: Served) -> None:
    for kind, name in (("schedules", "recurate"), ("sensors", "data_drives_the_tail")):
        page = ui.open(f"/locations/orchestration.definitions/{kind}/{name}")
        expect(page.locator("tr", has_text="Running").locator("input[type=checkbox]")).to_be_checked()
    ui.open("/automation")
    for name in ("recurate", "data_drives_the_tail"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_an_asset_tells_what_it_is_and_whose(ui: Served) -> None:
    page = ui.asset("filtered/signals", "overview")
    for text in (
        "What is measured of each document",
        "data-curation",
        "numba",
        "DuckDB",
        "longest_word",
        "BIGINT",
    ):
        expect(page.get_by_text(text).first).to_be_visible()


def test_an_asset_shows_its_plot(ui: Served) -> None:
    page = ui.asset("filtered/signals", "partitions", partition="guides")
    _row(page, "distributions").get_by_text("[Show Markdown]").click()
    plot = page.get_by_role("img", name="Signals, and where the rules of web draw the line")
    expect(plot).to_be_visible()
    assert (plot.get_attribute("src") or "").startswith("data:image/png;base64,")
    page.wait_for_function("plot => plot.complete && plot.naturalWidth > 300", arg=plot.element_handle())


def test_an_asset_shows_its_checks_each_with_its_reason(ui: Served) -> None:
    page = ui.asset("filtered/signals", "checks", checkDetail="every_document_measured")
    for name in ("words_measured", "no_negative_ratio", "signals_doc_id_unique"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("What is not measured is not judged.")).to_be_visible()
    expect(page.get_by_text("This is a blocking asset check.")).to_be_visible()


def test_a_row_that_is_no_document_is_listed_with_file_position_and_error(ui: Served) -> None:
    page = ui.asset("raw/quarantine", "partitions", partition="pages")
    errors = _row(page, "errors")
    expect(errors).to_contain_text("pages.jsonl")
    expect(errors).to_contain_text("line 41")
    expect(errors).to_contain_text("malformed JSON")


def test_a_failed_source_is_repaired_by_one_click_and_nothing_else_is_done_again(ui: Served) -> None:
    page = ui.asset("raw/documents", "partitions", partition="letters")
    expect(page.get_by_text("Failed (1)")).to_be_visible()
    expect(page.get_by_text("Materialized (2)")).to_be_visible()
    page.get_by_text("failed, and did not materialize this asset").locator("a").click()
    failure = page.get_by_text("source 'letters': letters.csv: the header has no column 'body'").first
    expect(failure).to_be_visible()

    _write_letters(ui.project, column="body")
    failed = page.url
    page.get_by_role("button", name="Re-execute all").locator("xpath=following::button[1]").click()
    page.get_by_text("From failure", exact=True).click()
    page.wait_for_url(lambda url: "/runs/" in url and url != failed)
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible(timeout=LONG_PATIENCE)

    page = ui.asset("raw/documents", "partitions", partition="letters")
    expect(page.get_by_text("Materialized (3)")).to_be_visible()
    for source in ("letters", "guides", "pages"):
        ui.asset("raw/documents", "partitions", partition=source)
        expect(page.get_by_text("View all historical events (1)")).to_be_visible()


def test_data_drives_the_tail_and_columns_say_where_they_come_from(ui: Served) -> None:
    # The repair made the last source whole: what follows runs without a further click.
    page = ui.asset("filtered/decisions", "events")
    expect(page.get_by_text("Materialized in run")).to_be_visible(timeout=LONG_PATIENCE)
    origins = _row(page, "column_origins")
    expect(origins).to_be_visible()
    link = origins.get_by_text("[Show Markdown]")
    if link.count():
        link.click()
        origins = page.get_by_role("dialog")
    expect(origins).to_contain_text("raw/documents.content_hash")


def _row(page: Page, label: str) -> Locator:
    """A row of a metadata table."""
    return page.locator("tr").filter(has=page.get_by_text(label, exact=True))


def _project(root: Path) -> Project:
    project = Project(root)
    common = {
        "kind": "document",
        "profile": "web",
        "license": "CC0-1.0",
        "language": "en",
        "collected_at": "2026-01-01",
        "consent": "not_required",
        "owner": "team:data-curation",
    }
    entries = [
        {"name": "guides", "reader": "jsonl", "uri": "guides.jsonl", "reference": True, **common},
        {"name": "letters", "reader": "csv", "uri": "letters.csv", "columns": {"text": "body"}, **common},
        {"name": "pages", "reader": "jsonl", "uri": "pages.jsonl", **common},
    ]
    (root / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": entries}))
    dice = Random(11)
    project.write("guides", [{"text": prose(dice)} for _ in range(80)])
    project.write("pages", [{"text": prose(dice)} for _ in range(40)])
    with (root / "pages.jsonl").open("a") as pages:
        pages.write(json.dumps({"text": "cut short"})[:-3] + "\n")
    _write_letters(project, column="text")
    return project


def _write_letters(project: Project, column: str) -> None:
    dice = Random(13)
    with (project.root / "letters.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([column])
        rows.writerows([prose(dice)] for _ in range(40))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the UI did not start:\n{log.read_text()}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the web server, the daemon, the code servers and whatever run the daemon has started."""
    os.killpg(server.pid, signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # A run at work outlives its launcher; its group is theirs.
        try:
            os.killpg(server.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        server.wait()
