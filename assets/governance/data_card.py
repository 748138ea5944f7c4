"""The data card: a release's README, in Markdown with the metadata header that dataset hubs read.

A pure function of `manifest.json`: each section names the part of the manifest it prints, every number is one
that stands there, and what isn't there is printed as NOT PROVIDED.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

NOT_PROVIDED = "NOT PROVIDED"
UNDETERMINED = "und"

HUB_LICENSES = {
    "AFL-3.0": "afl-3.0",
    "AGPL-3.0-only": "agpl-3.0",
    "Apache-2.0": "apache-2.0",
    "Artistic-2.0": "artistic-2.0",
    "BSD-2-Clause": "bsd-2-clause",
    "BSD-3-Clause": "bsd-3-clause",
    "BSL-1.0": "bsl-1.0",
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-2.5": "cc-by-2.5",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC0-1.0": "cc0-1.0",
    "GPL-2.0-only": "gpl-2.0",
    "GPL-3.0-only": "gpl-3.0",
    "ISC": "isc",
    "LGPL-3.0-only": "lgpl-3.0",
    "MIT": "mit",
    "MPL-2.0": "mpl-2.0",
    "NOASSERTION": "unknown",
    "ODC-By-1.0": "odc-by",
    "ODbL-1.0": "odbl",
    "PDDL-1.0": "pddl",
    "Unlicense": "unlicense",
    "Zlib": "zlib",
}
"""SPDX id to the hub's word for it; any other licence is `other` there."""

SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)

PROXY_NOTE = """\
A proxy compares sets of data under one small budget. It says nothing of how good a model trained on them
would be, and its silence on a harm is not evidence of safety."""

RIGHTS = """\
Each row carries `doc_id`, the BLAKE2b-128 hash of its source and its key there, and both of these in the
clear. The id stays the same from the source through every rule's verdict to this release, so a document can
be traced back to its origin, and a span of a model's output to the documents behind it.

To ask what is held about you, or to have it erased, write to the contact and name the `doc_id`, the `url`, or
the words in question. Erasure removes the row and what was derived from it. A release never changes, so what
follows is a new release without them."""

Manifest = Mapping[str, Any]


def render_data_card(manifest_json: bytes) -> str:
    """The data card of the release whose `manifest.json` holds these bytes."""
    manifest = json.loads(manifest_json)
    release_id = hashlib.sha256(manifest_json).hexdigest()
    title = manifest["about"]["title"] or f"Release {release_id[:12]}"
    body = "\n\n".join(
        f"## {heading}\n\n*From `{paths}` of the manifest.*\n\n{section(manifest)}"
        for heading, paths, section in SECTIONS
    )
    return (
        f"---\n{_header(manifest)}---\n\n# {_cell(title)}\n\n"
        f"Release `{release_id}`, which is the SHA-256 of `manifest.json`. It follows "
        f"{_code(manifest['parent'])}. This page is rendered from that file alone.\n\n{body}\n"
    )


def _header(manifest: Manifest) -> str:
    """The YAML block; a field without data is left out, for hubs reject a value they don't know."""
    counts = manifest["counts"]
    fields = {
        "pretty_name": manifest["about"]["title"],
        "license": _hub_licenses(counts["license"]),
        "language": sorted(set(counts["language"]) - {UNDETERMINED}),
        "size_categories": [_size_category(counts["documents"])],
        "source_datasets": [_source_dataset(source, manifest) for source in sorted(counts["source"])],
        "task_categories": ["text-generation"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]},
        ],
    }
    present = {name: value for name, value in fields.items() if value}
    return yaml.safe_dump(present, sort_keys=False, allow_unicode=True)


def _hub_licenses(expressions: Iterable[str]) -> list[str]:
    """The hub's words for every licence in some SPDX expressions."""
    operators = {"AND", "OR", "WITH"}
    names = {name for expression in expressions for name in re.findall(r"[\w.+-]+", expression)} - operators
    return sorted({HUB_LICENSES.get(name, "other") for name in names})


def _size_category(documents: int) -> str:
    return next((name for limit, name in SIZE_CATEGORIES if documents < limit), "n>1T")


def _source_dataset(source: str, manifest: Manifest) -> str:
    """A source as the hub's cards name one: a hub dataset's id, or `other-` and its name."""
    uri = next((o["uri"] for o in manifest["origins"] if o["source"] == source), None) or ""
    found = re.match(r"(?:hf://datasets/|https://huggingface\.co/datasets/)([\w.-]+/[\w.-]+)", uri)
    return f"extended|{found[1] if found else f'other-{source}'}"


def _summary(manifest: Manifest) -> str:
    about = manifest["about"]
    return _list(
        ("Description", _text(about["description"])),
        ("Publisher", _text(about["publisher"])),
        ("Contact", _text(about["contact"])),
        ("Intended uses", _text(about["uses"])),
        ("Known limitations", _text(about["limitations"])),
    )


def _contents(manifest: Manifest) -> str:
    counts = manifest["counts"]
    kinds = _table(("Kind", "Documents"), counts["kind"].items())
    consents = _table(("Consent", "Documents"), counts["consent"].items())
    generators = _table(("Generator", "Synthetic documents"), counts["generator"].items())
    return "\n\n".join(
        [
            _list(
                ("Documents", _number(counts["documents"])),
                ("Bytes of text", _number(counts["text_bytes"])),
                ("Bytes on disk", _number(counts["shard_bytes"])),
                ("Synthetic documents", _number(counts["synthetic"])),
            ),
            kinds,
            consents,
            *([generators] if counts["synthetic"] else []),
        ]
    )


def _sources(manifest: Manifest) -> str:
    counts = manifest["counts"]
    origins = {origin["source"]: origin for origin in manifest["origins"]}
    totals = _table(
        ("Source", "Title", "Address", "Documents"),
        (
            (name, origins.get(name, {}).get("title"), origins.get(name, {}).get("uri"), documents)
            for name, documents in counts["source"].items()
        ),
    )
    columns = ("source", "license", "documents", "text_bytes", "first_collected", "last_collected")
    licensed = _table(
        ("Source", "Licence", "Documents", "Bytes of text", "Collected from", "to"),
        ([row[column] for column in columns] for row in counts["sources"]),
    )
    return f"{totals}\n\n{licensed}"


def _licenses(manifest: Manifest) -> str:
    note = "NOASSERTION means that nobody could establish the licence."
    return _table(("Licence (SPDX)", "Documents"), manifest["counts"]["license"].items()) + f"\n\n{note}"


def _languages(manifest: Manifest) -> str:
    note = f"`{UNDETERMINED}` means that the language was not determined."
    return _table(("Language (BCP 47)", "Documents"), manifest["counts"]["language"].items()) + f"\n\n{note}"


def _funnel(manifest: Manifest) -> str:
    return _table(
        ("Source", "Stage", "Documents left"),
        ((row["source"], row["stage"], row["documents"]) for row in manifest["funnel"]),
    )


def _removals(manifest: Manifest) -> str:
    return _table(
        ("Source", "Stage", "Reason", "Documents removed"),
        ((row["source"], row["stage"], row["reason"], row["documents"]) for row in manifest["removals"]),
    )


def _privacy(manifest: Manifest) -> str:
    privacy = manifest["privacy"]
    if privacy is None:
        return NOT_PROVIDED
    redactions = _table(("Entity", "Spans redacted"), privacy["redactions"].items())
    changed = _list(("Documents changed", _number(privacy["documents"])))
    return f"{_text(privacy['treatment'])}\n\n{changed}\n\n{redactions}"


def _gates(manifest: Manifest) -> str:
    return _table(
        ("Gate", "Value", "95 % low", "95 % high", "n", "Limit", "Result"),
        (
            (g["gate"], *(g[name] for name in ("value", "low", "high", "n", "limit")), _result(g))
            for g in manifest["verdict"]
        ),
    )


def _checks(manifest: Manifest) -> str:
    return _table(
        ("Asset", "Check", "Severity", "Result", "Data version"),
        ((c["asset"], c["check"], c["severity"], _result(c), c["data_version"]) for c in manifest["checks"]),
    )


def _proxy(manifest: Manifest) -> str:
    """The only claim a small proxy supports, in fixed words (see `ProxyResult` for the sign)."""
    if not manifest["proxy"]:
        return NOT_PROVIDED
    return "\n".join(f"- {_comparison(result)}" for result in manifest["proxy"]) + f"\n\n{PROXY_NOTE}"


def _comparison(result: Mapping[str, Any]) -> str:
    value, low, high, n, budget = (
        _number(result[name]) for name in ("value", "low", "high", "n", "budget_tokens")
    )
    arm, control, holdout, proxy = (_text(result[name]) for name in ("arm", "control", "holdout", "proxy"))
    return (
        f"{arm} against {control} on {holdout}: {_claim(result)} held-out NLL for a {proxy} proxy at "
        f"{budget} tokens (difference {value} [{low}, {high}] nats a token, n={n} seeds)."
    )


def _claim(result: Mapping[str, Any]) -> str:
    if result["high"] is not None and result["high"] < 0:
        return "lower"
    if result["low"] is not None and result["low"] > 0:
        return "higher"
    return "no detected difference in"


def _rights(manifest: Manifest) -> str:
    return f"{RIGHTS}\n\n{_list(('Contact', _text(manifest['about']['contact'])))}"


def _provenance(manifest: Manifest) -> str:
    inputs = [
        (asset, partition or "(whole)", version)
        for asset, partitions in manifest["inputs"].items()
        for partition, version in partitions.items()
    ]
    shards = [(s["path"], s["rows"], s["bytes"], s["sha256"]) for s in manifest["shards"]]
    return "\n\n".join(
        [
            _list(
                ("Run", _code(manifest["run_id"])),
                ("Lake snapshot", _number(manifest["snapshot"])),
                ("Rules", f"{_text(manifest['rules']['version'])}, {_code(manifest['rules']['sha256'])}"),
                ("Approver", "named in `approval.json` beside the manifest once this release is promoted"),
            ),
            _table(("Asset", "Partition", "Data version"), inputs),
            _table(("Model", "SHA-256"), manifest["models"].items()),
            _table(("Shard", "Rows", "Bytes", "SHA-256"), shards),
        ]
    )


SECTIONS: tuple[tuple[str, str, Callable[[Manifest], str]], ...] = (
    ("Summary", "about", _summary),
    ("Contents", "counts", _contents),
    ("Sources", "counts.source, counts.sources, origins", _sources),
    ("Licences", "counts.license", _licenses),
    ("Languages", "counts.language", _languages),
    ("Funnel", "funnel", _funnel),
    ("What was removed, and why", "removals", _removals),
    ("Personal data", "privacy", _privacy),
    ("Gates", "verdict", _gates),
    ("Checks", "checks", _checks),
    ("Proxy models", "proxy", _proxy),
    ("Tracing and erasure", "about.contact", _rights),
    ("Provenance", "inputs, snapshot, rules, models, run_id, shards", _provenance),
)


def _table(columns: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table, numbers to the right; without rows, the field that isn't provided."""
    values = [list(row) for row in rows]
    if not values:
        return f"{', '.join(columns)}: {NOT_PROVIDED}"
    numeric = [all(isinstance(row[i], int | float | None) for row in values) for i in range(len(columns))]
    lines = [columns, ["---:" if right else "---" for right in numeric]]
    lines += [
        [_number(v) if right else _text(v) for v, right in zip(row, numeric, strict=True)] for row in values
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(*items: tuple[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in items)


def _number(value: float | None) -> str:
    """A number of the manifest as it stands there, with thousands set apart."""
    return NOT_PROVIDED if value is None else f"{value:,}"


def _text(value: Any) -> str:
    return NOT_PROVIDED if value in (None, "") else _cell(str(value))


def _code(value: str | None) -> str:
    return f"`{_cell(value)}`" if value else NOT_PROVIDED


def _result(row: Mapping[str, Any]) -> str:
    if row["passed"]:
        return "passed"
    return "FAILED" if row["severity"] == "critical" else "failed (warning)"


def _cell(value: str) -> str:
    """One line that can't end a table's cell or begin a tag."""
    return " ".join(value.split()).replace("|", "\\|").replace("<", "&lt;")
