"""The manifest: what a release holds, what it was made from, and what was found about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from assets.intervals import Interval
from assets.releases.canonical import canonical_json, sha256

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Rules:
    """The policy the documents were decided by: its version and the hash of its text."""

    version: str
    sha256: str


@dataclass(frozen=True)
class Check:
    """One expectation's result, for exactly the data version it looked at."""

    asset: str
    check: str
    severity: str
    passed: bool
    data_version: str


@dataclass(frozen=True)
class Gate:
    """One line of the verdict: a measured value with its 95 % interval, held against its limit.

    `value`, `low` and `high` are None where nothing was measured or the interval has no such bound.
    """

    gate: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    limit: float | None
    passed: bool
    severity: str = "critical"

    @classmethod
    def measured(cls, gate: str, interval: Interval, *, limit: float | None, passed: bool) -> Gate:
        """A gate's line from the interval that was held against its limit."""
        return cls(gate, interval.value, interval.low, interval.high, interval.n, limit, passed)


@dataclass(frozen=True)
class About:
    """What only people can say of a set: who publishes it, for what, and whom to write to."""

    title: str | None = None
    description: str | None = None
    publisher: str | None = None
    contact: str | None = None
    uses: str | None = None
    limitations: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where a source comes from: its title and public address."""

    source: str
    title: str | None = None
    uri: str | None = None


@dataclass(frozen=True)
class FunnelStep:
    """How many documents of a source were left after a stage."""

    source: str
    stage: str
    documents: int


@dataclass(frozen=True)
class Removal:
    """How many documents of a source a stage removed for a reason."""

    source: str
    stage: str
    reason: str
    documents: int


@dataclass(frozen=True)
class Privacy:
    """How personal data was treated: in words, in documents changed, and in spans redacted per entity."""

    treatment: str
    documents: int
    redactions: Mapping[str, int]


@dataclass(frozen=True)
class ProxyResult:
    """Held-out negative log-likelihood (nats a token) of a proxy model trained on one arm, less another's.

    `value` is the mean of `n` seeds' paired differences, `low` and `high` its 95 % t interval; below zero,
    `arm` predicts the held-out text better than `control`.
    """

    proxy: str
    arm: str
    control: str
    holdout: str
    budget_tokens: int
    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Shard:
    """One file of documents: its path below the release, rows, size in bytes and SHA-256."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SourceCount:
    """One source under one licence: documents, bytes of UTF-8 text, first and last day of collection."""

    source: str
    license: str
    documents: int
    text_bytes: int
    first_collected: str | None
    last_collected: str | None


@dataclass(frozen=True)
class Counts:
    """What lies in the shards, counted from them. A document without a language counts as `und`."""

    documents: int
    text_bytes: int
    shard_bytes: int
    synthetic: int
    source: Mapping[str, int]
    license: Mapping[str, int]
    language: Mapping[str, int]
    kind: Mapping[str, int]
    consent: Mapping[str, int]
    generator: Mapping[str, int]
    sources: tuple[SourceCount, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the lifecycle knows of a release before it is built.

    `inputs` maps asset to partition to data version (the partition of an unpartitioned asset is ""),
    `models` a model's name to its SHA-256, and `parent` is the release this one follows.
    """

    run_id: str
    inputs: Mapping[str, Mapping[str, str]]
    snapshot: int
    rules: Rules
    models: Mapping[str, str]
    checks: tuple[Check, ...]
    verdict: tuple[Gate, ...]
    parent: str | None = None
    about: About = field(default_factory=About)
    origins: tuple[Origin, ...] = ()
    funnel: tuple[FunnelStep, ...] = ()
    removals: tuple[Removal, ...] = ()
    privacy: Privacy | None = None
    proxy: tuple[ProxyResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest(Facts):
    """A release's facts, with what its build counted and hashed.

    The release's id is the SHA-256 of the manifest's bytes, so the manifest holds no wall-clock time and
    never an approver: a person approves an id, and writing their name here would change it.
    `approval.json`, beside the manifest, names them.
    """

    counts: Counts
    shards: tuple[Shard, ...]
    approver: None = None
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, facts: Facts, counts: Counts, shards: tuple[Shard, ...]) -> Manifest:
        """The manifest of what was just written. Checks and gates are sorted: their order means nothing."""
        known = vars(facts) | {
            "checks": tuple(sorted(facts.checks, key=lambda c: (c.asset, c.check, c.data_version))),
            "verdict": tuple(sorted(facts.verdict, key=lambda g: g.gate)),
        }
        return cls(**known, counts=counts, shards=shards)

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """The manifest that `to_json` wrote.

        Raises:
            ValueError: It isn't JSON, or its schema version is one this code doesn't know.
        """
        raw = json.loads(data)
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"manifest schema version {raw.get('schema_version')!r}; this code reads {SCHEMA_VERSION}"
            )
        counts = raw["counts"]
        return cls(
            **raw
            | {
                "rules": Rules(**raw["rules"]),
                "checks": tuple(Check(**row) for row in raw["checks"]),
                "verdict": tuple(Gate(**row) for row in raw["verdict"]),
                "about": About(**raw["about"]),
                "origins": tuple(Origin(**row) for row in raw["origins"]),
                "funnel": tuple(FunnelStep(**row) for row in raw["funnel"]),
                "removals": tuple(Removal(**row) for row in raw["removals"]),
                "privacy": Privacy(**raw["privacy"]) if raw["privacy"] else None,
                "proxy": tuple(ProxyResult(**row) for row in raw["proxy"]),
                "counts": Counts(
                    **counts | {"sources": tuple(SourceCount(**row) for row in counts["sources"])}
                ),
                "shards": tuple(Shard(**row) for row in raw["shards"]),
            }
        )

    def to_json(self) -> bytes:
        """The canonical bytes of `manifest.json`."""
        return canonical_json(asdict(self), indent=2)

    @property
    def release_id(self) -> str:
        """SHA-256 of the canonical bytes, in hex."""
        return sha256(self.to_json())

    @property
    def content_id(self) -> str:
        """The same hash without run, snapshot and parent: a rerun that changed nothing keeps it."""
        return replace(self, run_id="", snapshot=0, parent=None).release_id

    def failures(self) -> tuple[str, ...]:
        """Why this release may not be served: each failed gate and critical check; empty where none failed.

        A verdict without a single gate is a failure too: nothing was held against a limit.
        """
        gates = [
            f"gate {g.gate}: {g.value} [{g.low}, {g.high}] n={g.n}, limit {g.limit}"
            for g in self.verdict
            if not g.passed and g.severity == "critical"
        ]
        checks = [
            f"critical check {c.check} on {c.asset} at {c.data_version}"
            for c in self.checks
            if c.severity == "critical" and not c.passed
        ]
        return tuple(([] if self.verdict else ["the verdict holds no gate"]) + gates + checks)
