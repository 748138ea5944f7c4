"""`winnow`: the console script. Thin: each command asks the same definitions, lake and releases as the UI."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from assets import settings

app = typer.Typer(
    help="An orchestrated, governed lifecycle for LLM training data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Runs write to their log; what a person reads goes to the terminal by a way of its own.
console = Console(file=os.fdopen(os.dup(1), "w"))

Source = Annotated[str | None, typer.Option("--source", help="Only this source's head; the tail covers all.")]
Stage = Annotated[
    str | None, typer.Option("--from", help="Do this stage and all that follow, also where nothing changed.")
]
Approver = Annotated[str, typer.Option("--approved-by", help="The person who answers for it.")]


@app.command()
def run(source: Source = None, stage: Stage = None) -> None:
    """Bring everything up to date: what is missing, changed or failed, and nothing else."""
    raise typer.Exit(0 if _run([source] if source else None, stage) else 1)


def _run(names: Sequence[str] | None = None, stage: str | None = None) -> bool:
    from assets.lake import Lake
    from assets.stage import SOURCES
    from orchestration import progress, summary
    from orchestration.execution import STAGES, due, execute, open_instance

    if unknown := [name for name in names or () if name not in SOURCES]:
        raise typer.BadParameter(f"no source {unknown[0]!r}; there are {', '.join(sorted(SOURCES))}")
    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(f"no stage {stage!r}; there are {', '.join(STAGES)}")
    lake = Lake(settings.lake_root())
    with open_instance() as instance, progress.steps(console) as on_step:
        plan = due(instance, lake, sources=names, stage=stage)
        if not plan.head and not plan.tail:
            console.print("Nothing changed since the last run: nothing was recomputed.")
            return True
        outcomes = [
            execute(instance, "curate_source", partition=name, assets=assets, on_step=on_step(name))
            for name, assets in plan.head.items()
        ]
        broken = [outcome.partition for outcome in outcomes if not outcome.success]
        # What changed is known now: a source that gave the same content again leaves the tail as it is.
        tail = due(instance, lake, sources=names, stage=stage).tail if plan.head else plan.tail
        if tail and not broken:
            outcomes.append(execute(instance, "curate", assets=tail, on_step=on_step("all sources")))
    progress.failures(console, outcomes)
    if broken:
        console.print(f"Everything after the sources waits for {', '.join(broken)}.")
    if any(step.name == "evaluated_verdict_checks" and step.error for o in outcomes for step in o.steps):
        summary.verdict(console)
    return all(outcome.success for outcome in outcomes)


@app.command()
def demo() -> None:
    """The whole lifecycle on the configured sources, approved in your name, and what came of it."""
    from orchestration import summary

    started = time.monotonic()
    success = _run()
    if success:
        _deploy(approved_by=_user(), reason="first look, by `make demo`", quiet=True)
    summary.lifecycle(console)
    console.print(
        f"\n[bold]{'Done' if success else 'Stopped'}[/] after {time.monotonic() - started:.0f} s. "
        "Open the UI with [bold]make dev[/] and go to http://127.0.0.1:3000; "
        "ask about a document with [bold].venv/bin/winnow why DOC_ID[/]."
    )
    raise typer.Exit(0 if success else 1)


@app.command("rerun-failed")
def rerun_failed() -> None:
    """Continue each failed run from where it failed, then whatever waited for it."""
    from orchestration import progress
    from orchestration.automation import observe, observe_key
    from orchestration.execution import execute, failed_runs, open_instance

    with open_instance() as instance, progress.steps(console) as on_step:
        failed = failed_runs(instance)
        if not failed:
            console.print("No failed runs.")
        outcomes = []
        observe_key(instance)
        for failure in failed:
            if failure.job_name != "curate_source":
                continue
            name = failure.tags["dagster/partition"]
            # What is read now is not what the failed run saw.
            observe(instance, name)
            outcomes.append(
                execute(
                    instance, "curate_source", partition=name, reexecute=failure.run_id, on_step=on_step(name)
                )
            )
    progress.failures(console, outcomes)
    success = all(outcome.success for outcome in outcomes) and _run()
    raise typer.Exit(0 if success else 1)


@app.command()
def history(
    asset: Annotated[
        str | None, typer.Argument(help="For example raw/documents; all assets by default.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Newest first.")] = 30,
) -> None:
    """Who made which version of an asset, when, from what: materialisations, newest first."""
    from orchestration import summary
    from orchestration.execution import open_instance

    with open_instance() as instance:
        summary.history(console, instance, asset, limit)


@app.command()
def why(
    doc_id: Annotated[str, typer.Argument(help="A document's id, or the first characters of it.")],
) -> None:
    """Everything that was decided about one document: values, thresholds, verdicts, run and snapshot."""
    from orchestration import summary

    if not summary.why(console, doc_id):
        raise typer.Exit(1)


@app.command()
def rules() -> None:
    """The policy: every rule, and what it removes alone, first and together with others."""
    from orchestration import policy

    policy.rules(console)


@app.command("what-if")
def what_if(
    changes: Annotated[
        list[str],
        typer.Argument(
            metavar="CHANGE...",
            help="RULE.threshold=VALUE or RULE.action=drop|flag; with PROFILE: before it for one alone.",
        ),
    ],
) -> None:
    """What changed rules would do to the documents in the lake, in seconds; nothing is written."""
    from orchestration import policy

    raise typer.Exit(0 if policy.try_changes(console, changes) else 1)


@app.command()
def deploy(
    approved_by: Approver,
    reason: Annotated[str, typer.Option(help="Why, in their words.")] = "approved",
) -> None:
    """Make the candidate the champion: needs a named approver and a verdict without a failed gate."""
    raise typer.Exit(0 if _deploy(approved_by, reason) else 1)


def _deploy(approved_by: str, reason: str, *, quiet: bool = False) -> bool:
    from assets.releases.store import ReleaseStore
    from orchestration import progress
    from orchestration.execution import execute, open_instance

    releases = ReleaseStore(settings.releases_root())
    candidate = releases.alias("candidate")
    if candidate is not None and candidate == releases.alias("champion"):
        if not quiet:
            console.print(f"The candidate {candidate[:12]} is the champion already.")
        return True
    config = {"ops": {"deployed__champion": {"config": {"approved_by": approved_by, "reason": reason}}}}
    with open_instance() as instance, progress.steps(console) as on_step:
        outcome = execute(instance, "promote", config=config, on_step=on_step("release"))
    progress.failures(console, [outcome])
    if outcome.success:
        console.print(f"Champion: {releases.alias('champion')}, approved by {approved_by}.")
    return outcome.success


@app.command()
def rollback(
    by: Annotated[str, typer.Option("--by", help="The person who rolls back.")] = "",
    reason: Annotated[str, typer.Option(help="Why, in their words.")] = "rolled back",
) -> None:
    """Put the previous champion back: one step, no rebuild."""
    from assets.releases.store import ReleaseStore
    from orchestration import progress
    from orchestration.execution import execute, open_instance

    config = {"ops": {"restore_previous": {"config": {"by": by or _user(), "reason": reason}}}}
    with open_instance() as instance, progress.steps(console) as on_step:
        outcome = execute(instance, "rollback", config=config, on_step=on_step("release"))
    progress.failures(console, [outcome])
    if outcome.success:
        console.print(f"Champion: {ReleaseStore(settings.releases_root()).alias('champion')}.")
    raise typer.Exit(0 if outcome.success else 1)


@app.command()
def erase(
    request: Annotated[
        str | None,
        typer.Argument(help="A file of selectors, one JSON object a line; - for standard input."),
    ] = None,
    approved_by: Approver = "",
    reason: Annotated[str, typer.Option(help="Why, in their words.")] = "asked for",
) -> None:
    """Take a person's documents out of everything: shows what would go, and with a name carries it out.

    What was begun and cut off goes on first. Afterwards the sources concerned and all that follows are made anew.
    """
    from assets.lake import Lake
    from assets.privacy.subjects import RequestError
    from assets.releases.store import ReleaseStore
    from assets.stage import SOURCES
    from orchestration import erasure
    from orchestration.erasure_plan import Place, make_plan

    place = Place(Lake(settings.lake_root()), ReleaseStore(settings.releases_root()))
    plan = erasure.begun()
    if plan is not None:
        console.print(f"An erasure that {plan.approved_by} approved was cut off; it goes on.")
    elif request is None:
        raise typer.BadParameter("name a file of selectors, or - for standard input")
    else:
        try:
            text = sys.stdin.read() if request == "-" else Path(request).read_text(encoding="utf-8")
            plan = make_plan(place, text.splitlines(), approved_by.strip(), reason)
        except (RequestError, OSError) as error:
            _refuse(error)
        erasure.show(console, plan)
        if not plan.documents and not plan.refused:
            console.print("Nothing is named: there is nothing to erase.")
            return
        if not plan.approved_by:
            console.print(
                "Nothing was erased. To carry it out, add --approved-by and the name of who answers."
            )
            return
        erasure.begin(plan)
    try:
        receipt = erasure.carry_out(plan, place, lambda step: console.print(f"  {step} …"))
    except erasure.NotErased as error:
        _refuse(error)
    console.print(
        f"Erased. Receipt: {receipt['erasure']}, in the folder of erasures and in governance.erasures. "
        f"{receipt['files_searched']:,} files were searched, and none holds anything of it."
    )
    concerned = [name for name in plan.sources if name in SOURCES]
    success = not concerned or _run(concerned)
    if place.releases.alias("champion") in plan.releases:
        console.print("The champion is tainted. It serves without the rows; deploy the candidate built anew.")
    raise typer.Exit(0 if success else 1)


@app.command()
def releases() -> None:
    """Every release, with its aliases, size, verdict and approver."""
    from orchestration import summary

    summary.releases(console)


@app.command()
def sources() -> None:
    """The configured sources and what is in the lake of each."""
    from orchestration import summary

    summary.sources(console)


@app.command("rotate-key")
def rotate_key(
    by: Annotated[str, typer.Option("--by", help="The person who rotates or forgets.")] = "",
    reason: Annotated[str, typer.Option(help="Why, in their words.")] = "",
    forget: Annotated[
        str | None, typer.Option(metavar="ID", help="Delete this retired key instead of rotating.")
    ] = None,
) -> None:
    """Retire the key that personal values are hashed with, and make a new one."""
    from assets.lake import Lake
    from assets.privacy import keys
    from orchestration import summary
    from orchestration.automation import observe_key
    from orchestration.execution import open_instance

    path, rows = settings.pii_key_file(), keys.rows_by_key(Lake(settings.lake_root()))
    try:
        if forget is not None:
            keys.forget_key(path, forget, rows)
            done = {"forgotten": forget}
        elif not by.strip():
            raise ValueError("a rotation needs a name: --by, the person who answers for it")
        else:
            rotation = keys.rotate_key(path)
            done = {"retired": rotation.retired}
    except (ValueError, OSError) as error:
        _refuse(error)
    with open_instance() as instance:
        observe_key(instance, by=by or _user(), reason=reason, **done)
    if forget is not None:
        console.print(f"The key {forget} is deleted.")
        return
    console.print(
        f"The key {rotation.retired} is retired to {path.parent.name}/, the key is now {rotation.present}. "
        "[bold]winnow run[/] hashes everything anew; then "
        f"[bold]winnow rotate-key --forget {rotation.retired}[/] deletes the retired one.",
        soft_wrap=True,
    )
    summary.keys(console, [each for each in rows if each.key_id != rotation.present])


@app.command()
def dev(port: Annotated[int, typer.Option(help="On 127.0.0.1.")] = 3000) -> None:
    """Serve the Dagster UI with schedules and automation on."""
    from orchestration.execution import prepare_home

    prepare_home()
    dagster = Path(sys.executable).parent / "dagster"
    # The installed script, not `-m`: the daemon and web server start children by the same name.
    environment = os.environ | {"PATH": f"{dagster.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(dagster), "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
    raise typer.Exit(subprocess.call(command, env=environment, cwd=settings.PROJECT))


Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT…", help="Files, folders, globs or URIs.", show_default=False)
]
Out = Annotated[Path, typer.Option(help="The folder that decisions, kept and quarantine are written to.")]
Reader = Annotated[str | None, typer.Option(help="How files are read, where their names don't tell.")]
TextColumn = Annotated[str | None, typer.Option(help="The column of the text, where its name doesn't tell.")]
IdColumn = Annotated[str | None, typer.Option(help="The column of the id, where its name doesn't tell.")]
Rules = Annotated[Path | None, typer.Option("--rules", help="Another rules.csv.")]
Format = Annotated[Literal["parquet", "jsonl"], typer.Option(help="Of what is written.")]
Engine = Annotated[
    Literal["native", "ray"], typer.Option(help="This machine, or the cluster that RAY_ADDRESS names.")
]
Workers = Annotated[int, typer.Option(min=1, help="How many batches are measured at once.")]
Against = Annotated[list[Path], typer.Option(help="A file of benchmark items to look for; repeatable.")]


@app.command("filter")
def filter_(
    inputs: Inputs,
    out: Out,
    profile: Annotated[str, typer.Option(help="The kind of text, which tells the rules.")] = "web",
    language: Annotated[
        str | None, typer.Option("--expect-language", help="Drop what is surely in another, such as en.")
    ] = None,
    identify: Annotated[bool, typer.Option("--language/--no-language", help="Identify languages.")] = True,
    dedup: Annotated[bool, typer.Option("--dedup/--no-dedup", help="Drop exact and near copies.")] = True,
    against: Against = [],  # noqa: B006 - typer's way
    reader: Reader = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    rules: Rules = None,
    format: Format = "parquet",
    engine: Engine = "native",
    workers: Workers = 1,
) -> None:
    """Hold any files against a profile's rules: a decision for each document, and the kept ones."""
    _standalone(
        inputs,
        {"reader": reader, "text_column": text_column, "id_column": id_column},
        {"language": identify or language is not None, "expected": language},
        {"out": out, "format": format, "runner": engine, "workers": workers},
        dedup=dedup,
        against=against,
        profile=profile,
        rules=rules,
    )


@app.command()
def dedup(
    inputs: Inputs,
    out: Out,
    reader: Reader = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    format: Format = "parquet",
    engine: Engine = "native",
    workers: Workers = 1,
) -> None:
    """Keep one of each group of exact and near copies in any files; each copy names its keeper."""
    _standalone(
        inputs,
        {"reader": reader, "text_column": text_column, "id_column": id_column},
        {"signals": False, "language": False},
        {"out": out, "format": format, "runner": engine, "workers": workers},
        dedup=True,
    )


@app.command()
def decontaminate(
    inputs: Inputs,
    out: Out,
    against: Against,
    reader: Reader = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    format: Format = "parquet",
    engine: Engine = "native",
    workers: Workers = 1,
) -> None:
    """Drop documents that hold benchmark items; each names the item it holds most of."""
    _standalone(
        inputs,
        {"reader": reader, "text_column": text_column, "id_column": id_column},
        {"signals": False, "language": False},
        {"out": out, "format": format, "runner": engine, "workers": workers},
        against=against,
    )


@app.command()
def pii(
    inputs: Inputs,
    out: Annotated[Path, typer.Option(help="The file of findings, .parquet or .jsonl.")],
    redact: Annotated[
        Path | None, typer.Option(help="A folder for the documents without the values.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of all documents, such as ko; Hangul in a text tells by itself.")
    ] = None,
    ner: Annotated[
        Literal["off", "gated", "full"] | None,
        typer.Option(help="Where names of persons and places are looked for; by default as WINNOW_NER says."),
    ] = None,
    reader: Reader = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
) -> None:
    """Find personal data in any files: entity, place and score, never the value; and redact it if asked."""
    from assets.privacy.findings import PiiError
    from assets.sources.inputs import Reading, find_inputs
    from assets.sources.rows import SourceError
    from orchestration import pii as personal

    columns = {"reader": reader, "text_column": text_column, "id_column": id_column}
    try:
        reading = Reading(*find_inputs(inputs, **columns))
        outcome = personal.run(reading, out, redact, language, ner or settings.ner())
    except (SourceError, PiiError, ValueError, OSError) as error:
        _refuse(error)
    personal.report(console, outcome)


def _standalone(
    inputs: list[str],
    reading: dict[str, str | None],
    steps: dict[str, Any],
    writing: dict[str, Any],
    *,
    dedup: bool = False,
    against: Sequence[Path] = (),
    profile: str | None = None,
    rules: Path | None = None,
) -> None:
    from assets.filters.edits import editor_of
    from assets.filters.plan import Plan
    from assets.filters.policies import load_policy
    from assets.rules import RULES, load_rules, of_profile
    from assets.sources.inputs import Reading, find_inputs
    from assets.sources.rows import SourceError
    from orchestration import standalone

    policies = settings.policies_file()
    try:
        if dedup:
            from assets.filters.duplicates import NearDuplicatePolicy

            steps["near"] = load_policy(NearDuplicatePolicy, "near_duplicates", policies)
        if against:
            from assets.filters.contamination import ContaminationPolicy, index_items, load_benchmark

            looked_for = load_policy(ContaminationPolicy, "contamination", policies)
            steps["against"] = index_items([load_benchmark(path) for path in against], looked_for)
        if profile:
            steps["editor"] = editor_of(profile, policies)
        if profile == "parity":
            # Judged by datatrove's own statistics instead.
            steps |= {"signals": False, "parity": True}
        plan = Plan(of_profile(load_rules(rules or RULES), profile or "web"), **steps)
        outcome = standalone.run(Reading(*find_inputs(inputs, **reading)), plan, **writing)
    except (SourceError, ValueError, OSError) as error:
        _refuse(error)
    if not profile:
        # Who looks for copies or leaks alone asked for no other rule.
        outcome = replace(outcome, not_held=())
    standalone.report(console, outcome)


def _refuse(error: Exception) -> NoReturn:
    """Says what was asked wrongly, and ends."""
    # The name that inputs have inside says nothing to who named them.
    said = str(error).removeprefix("source 'input': ")
    console.print(f"winnow: {said}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this uid, as in some containers
        return f"uid {os.getuid()}"
