"""Makes the pictures of the UI in `docs/images/`: `.venv/bin/python docs/screenshots.py` after `make demo`.

Serves the home of `WINNOW_HOME` (by default `var/`) and looks at it with Chromium; it starts no run and
changes nothing. A picture is 1440 × 900 pixels in 256 colours.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from assets import settings

IMAGES = settings.PROJECT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")

# Dagster's layout of all groups at once fits no page; these show where data enters and where it leaves.
EXPANDED = ",".join(f"global@global:{group}" for group in ("source", "raw", "deployed"))


def lineage(page: Page) -> None:
    """The stages as groups, some of them open."""
    page.locator("svg foreignObject", has_text="candidate").first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.reload()
    page.locator("svg foreignObject", has_text="candidate").first.wait_for()


def plot(page: Page) -> None:
    """A plot among an asset's metadata, which the UI shows on a click."""
    page.locator("tr").filter(has=page.get_by_text("retention", exact=True)).get_by_text("[Show").click()
    page.locator("img[src^='data:image/png']").wait_for()


def showing(text: str) -> Callable[[Page], None]:
    """A page that is there once it shows a text."""
    return lambda page: page.get_by_text(text).first.wait_for()


PICTURES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "lineage": (f"/asset-groups?expanded={EXPANDED}", lineage),
    "asset": ("/assets/filtered/decisions", showing("policy_version")),
    "plot": ("/assets/evaluated/data_report?view=events", plot),
    "checks": (
        "/assets/raw/documents?view=checks&checkDetail=quarantine_at_most_1_percent",
        showing("Above this a format has probably changed."),
    ),
    "partitions": (
        "/assets/raw/documents?view=partitions&partition=python-docs",
        showing("package:python-docs"),
    ),
    "schedule": ("/automation", showing("data_drives_the_tail")),
}


def main() -> None:
    """Every picture, from a browser with nothing remembered."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for name, (path, ready) in PICTURES.items():
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(address + path, wait_until="domcontentloaded")
            ready(page)
            # Statuses and counts come after the words, without a sign that they are all there.
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(4000)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
            print(f"{file.relative_to(settings.PROJECT)}: {file.stat().st_size / 1000:.0f} kB")
            page.close()
        browser.close()


@contextmanager
def served() -> Iterator[str]:
    """The address of a web server on this home, without the daemon: nothing starts by itself."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    webserver = Path(sys.executable).parent / "dagster-webserver"
    command = [str(webserver), "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, cwd=settings.PROJECT, env=os.environ, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=10).close()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None or time.monotonic() > deadline:
                    sys.exit("The web server did not start.")
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
