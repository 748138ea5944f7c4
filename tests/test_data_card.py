"""The data card: a pure function of the manifest, in which every number is one of the manifest's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from assets.governance.data_card import NOT_PROVIDED, render_data_card
from assets.intervals import Interval, wilson
from assets.releases.manifest import (
    About,
    Check,
    Counts,
    Facts,
    FunnelStep,
    Gate,
    Manifest,
    Origin,
    Privacy,
    ProxyResult,
    Removal,
    Rules,
    Shard,
    SourceCount,
)

EMPTY = Facts(run_id="", inputs={}, snapshot=0, rules=Rules("", ""), models={}, checks=(), verdict=())
NO_COUNTS = Counts(
    documents=0,
    text_bytes=0,
    shard_bytes=0,
    synthetic=0,
    source={},
    license={},
    language={},
    kind={},
    consent={},
    generator={},
    sources=(),
)

FACTS = Facts(
    run_id="run-7731",
    inputs={"raw/documents": {"wiki": "a1f3", "manuals": "b2e4"}, "filtered/documents": {"": "c3d5"}},
    snapshot=8423,
    rules=Rules("2026-11.4", "9e" * 32),
    models={"lid.176.ftz": "8f" * 32},
    checks=(
        Check("filtered/documents", "text is not empty", "critical", True, "c3d5"),
        Check("raw/documents", "a|b <script>", "warning", False, "a1f3"),
    ),
    verdict=(
        Gate.measured("toxicity", wilson(3, 4177), limit=0.0173, passed=True),
        Gate.measured("proxy", Interval(-0.0812, float("-inf"), float("inf"), 1), limit=None, passed=False),
    ),
    parent="7d" * 32,
    about=About(
        title="A small set",
        description="Manuals and articles.",
        publisher="Winnow",
        contact="data@example.org",
    ),
    origins=(
        Origin("wiki", "Articles", "hf://datasets/someone/articles"),
        Origin("manuals", "Manuals", "https://example.org/manuals"),
    ),
    funnel=(FunnelStep("wiki", "raw", 16411), FunnelStep("wiki", "filtered", 11873)),
    removals=(Removal("wiki", "filtered", "too few stop words", 4538),),
    privacy=Privacy(
        "Spans are replaced by their entity's name.", 613, {"EMAIL_ADDRESS": 977, "PHONE_NUMBER": 41}
    ),
    proxy=(ProxyResult("KN-5", "curated", "raw", "held-out wiki", 524288, -0.0561, -0.0603, -0.0519, 5),),
)
COUNTS = Counts(
    documents=12847,
    text_bytes=93021877,
    shard_bytes=31555021,
    synthetic=86,
    source={"manuals": 974, "wiki": 11873},
    license={"Apache-2.0": 911, "CC-BY-SA-4.0 OR GFDL-1.3-or-later": 11873, "NOASSERTION": 63},
    language={"en": 12001, "no": 722, "und": 124},
    kind={"document": 12847},
    consent={"not_required": 12847},
    generator={"smollm2": 86},
    sources=(
        SourceCount("manuals", "Apache-2.0", 911, 5120999, "2024-03-05", "2025-06-17"),
        SourceCount("manuals", "NOASSERTION", 63, 30117, "2024-04-08", "2024-04-09"),
        SourceCount("wiki", "CC-BY-SA-4.0 OR GFDL-1.3-or-later", 11873, 87870761, None, None),
    ),
)
SHARDS = (Shard("data/part-00000.parquet", 12847, 31555021, "6c" * 32),)


@pytest.fixture(scope="module")
def manifest_json() -> bytes:
    return Manifest.of(FACTS, COUNTS, SHARDS).to_json()


@pytest.fixture(scope="module")
def card(manifest_json: bytes) -> str:
    return render_data_card(manifest_json)


def leaves(value: Any) -> Iterator[str]:
    """Every key and value of a JSON document, as text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield str(value)


def header(card: str) -> dict[str, Any]:
    _, front, _ = card.split("---\n", 2)
    return yaml.safe_load(front)


def test_two_renders_are_byte_identical(manifest_json: bytes, card: str) -> None:
    assert render_data_card(manifest_json) == card


def test_every_number_is_the_manifests_or_the_templates(manifest_json: bytes, card: str) -> None:
    number = re.compile(r"\d(?:[\d,.]*\d)?")
    body = card.split("---\n", 2)[2].replace(Manifest.from_json(manifest_json).release_id, "")
    template = render_data_card(Manifest.of(EMPTY, NO_COUNTS, ()).to_json()).split("---\n", 2)[2]
    known = set(number.findall(re.sub(r"\b[0-9a-f]{12,64}\b", "", template)))
    known |= {found for leaf in leaves(json.loads(manifest_json)) for found in number.findall(leaf)}
    unknown = [found for found in number.findall(body) if found.replace(",", "") not in known | {"95"}]
    assert unknown == []


@pytest.mark.parametrize("path", ["counts.documents", "snapshot", "verdict.0.n", "removals.0.documents"])
def test_a_changed_number_changes_the_card(manifest_json: bytes, card: str, path: str) -> None:
    changed = json.loads(manifest_json)
    *parents, leaf = path.split(".")
    inner = changed
    for name in parents:
        inner = inner[int(name) if name.isdigit() else name]
    inner[leaf] = 424242
    rendered = render_data_card(json.dumps(changed).encode())
    assert "424,242" in rendered
    assert "424,242" not in card


def test_every_leaf_of_the_manifest_is_on_the_card(manifest_json: bytes, card: str) -> None:
    shown = card.replace(",", "").replace("\\|", "|").replace("&lt;", "<")
    figures = (leaf for leaf in leaves(json.loads(manifest_json)) if re.search(r"\d", leaf))
    hidden = {leaf for leaf in figures if leaf.replace(",", "") not in shown}
    assert hidden == {"sha256"}  # a field's name


def test_the_header_is_what_a_hub_reads(card: str) -> None:
    assert header(card) == {
        "pretty_name": "A small set",
        "license": ["apache-2.0", "cc-by-sa-4.0", "other", "unknown"],
        "language": ["en", "no"],
        "size_categories": ["10K<n<100K"],
        "source_datasets": ["extended|other-manuals", "extended|someone/articles"],
        "task_categories": ["text-generation"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]},
        ],
    }


def test_what_cannot_be_derived_says_so(card: str) -> None:
    assert f"Intended uses: {NOT_PROVIDED}" in card
    empty = render_data_card(Manifest.of(EMPTY, NO_COUNTS, ()).to_json())
    for heading in ("Sources", "Funnel", "Personal data", "Gates", "Checks", "Proxy models", "Provenance"):
        section = empty.split(f"## {heading}\n")[1].split("\n## ")[0]
        assert NOT_PROVIDED in section, heading
    assert f"It follows {NOT_PROVIDED}" in empty
    assert "None" not in empty + card


def test_gates_carry_value_interval_and_limit(card: str) -> None:
    gates = card.split("## Gates\n")[1].split("\n## ")[0]
    assert "| proxy | -0.0812 | NOT PROVIDED | NOT PROVIDED | 1 | NOT PROVIDED | FAILED |" in gates
    assert re.search(
        r"\| toxicity \| 0\.0007\d+ \| 0\.0002\d+ \| 0\.002\d+ \| 4,177 \| 0\.0173 \| passed \|", gates
    )


def test_a_proxy_claims_only_what_it_measured(card: str, manifest_json: bytes) -> None:
    words = "held-out NLL for a KN-5 proxy at 524,288 tokens"
    assert f"curated against raw on held-out wiki: lower {words}" in card
    for low, high, claim in (
        (-0.1, 0.1, "no detected difference in"),
        (0.1, 0.2, "higher"),
        (None, None, "no"),
    ):
        changed = json.loads(manifest_json)
        changed["proxy"][0] |= {"low": low, "high": high}
        assert f"held-out wiki: {claim}" in render_data_card(json.dumps(changed).encode())


def test_a_value_can_neither_end_its_cell_nor_begin_a_tag(card: str) -> None:
    assert "| raw/documents | a\\|b &lt;script> | warning | failed (warning) | a1f3 |" in card
    tables = [line for line in card.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in tables)
