"""The job by which a change of the policy is tried in the UI: a report, and nothing changed."""

import dagster as dg

from assets.governance.what_if import what_if
from assets.lake import Lake
from assets.rules import PolicyError
from assets.stage import markdown_table
from orchestration.policy import notes, sections


class Changes(dg.Config):
    """Changes such as `too_short.threshold=60`, `web:list_like.action=drop`."""

    changes: list[str]


@dg.op(
    name="try_changes",
    out=dg.Out(str, description="The report as Markdown."),
    description="Judges the lake's documents anew under changed rules, and reports who would change side.",
)
def try_changes(context: dg.OpExecutionContext, config: Changes, lake: dg.ResourceParam[Lake]) -> str:
    try:
        outcome = what_if(lake, config.changes)
    except PolicyError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    parts = ["\n".join(f"- {change}" for change in outcome.changes)]
    parts += [f"### {title}\n\n{markdown_table(rows).value}" for title, rows in sections(outcome) if rows]
    parts += notes(outcome)
    report = "\n\n".join(parts)
    for line in (*map(str, outcome.changes), *notes(outcome)):
        context.log.info(line)
    context.add_output_metadata({"report": dg.MetadataValue.md(report)})
    return report


@dg.job(name="what_if", description="Tries changed rules on the lake's documents: a report, nothing written.")
def trial() -> None:
    try_changes()
