"""What a person sees while runs work: the steps at work, those done, and how far along it all is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from assets import settings
from orchestration.execution import Outcome, Step

MARKS = {"succeeded": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[yellow]–[/]"}


@contextmanager
def steps(console: Console) -> Iterator[Callable[[str], Callable[[Step], None]]]:
    """A live step list: a line for each step as it ends, a spinner naming those at work.

    Gives a function that, for a run's label, makes the listener that the run reports its steps to.
    """
    working: dict[tuple[str, str], None] = {}
    log = settings.home() / "logs" / "runs.log"
    spinner = Spinner("dots", text="looking for what changed")

    with _output_to(log), Live(spinner, console=console, transient=True, refresh_per_second=8):

        def listener(label: str) -> Callable[[Step], None]:
            def on_step(step: Step) -> None:
                name = step.name.replace("__", "/")
                if step.state == "started":
                    working[label, name] = None
                else:
                    working.pop((label, name), None)
                    seconds = f"{step.seconds:5.1f} s" if step.seconds is not None else "       "
                    console.print(f" {MARKS[step.state]} {seconds}  [dim]{label:>14}[/]  {name}")
                at_work = ", ".join(f"{name} of {label}" for label, name in working)
                spinner.update(text=escape(at_work) if at_work else "between steps")

            return on_step

        yield listener


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Standard output and error of this process and its children in a file: dbt alone prints pages.

    By file descriptor, since children inherit those; each op's own output is in the UI as well.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in zip((1, 2), kept, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def failures(console: Console, outcomes: Sequence[Outcome]) -> None:
    """The errors of failed steps, in their own words."""
    for outcome in outcomes:
        for step in outcome.steps:
            if step.error:
                where = f" of {outcome.partition}" if outcome.partition else ""
                console.print(f"[red]✗ {step.name.replace('__', '/')}{where}[/]: {escape(step.error)}")
        if not outcome.success:
            console.print(f"  run {outcome.run_id}; after the fix: [bold].venv/bin/winnow rerun-failed[/]")
