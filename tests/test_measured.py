"""Measured once: what is known is taken over, and exactly the rest is measured, to the same values."""

from __future__ import annotations

from pathlib import Path
from random import Random
from types import MappingProxyType

import pyarrow as pa
import pytest
from projects import prose

from assets.documents import content_hash
from assets.filters import language, measured
from assets.filters.measured import LANGUAGE, Measurement, stale, stamp, versions
from assets.filters.signals import GROUP_VERSIONS, VERSIONS
from assets.lake import Lake, Write

GROUPS = {*GROUP_VERSIONS, LANGUAGE}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    dice = Random(11)
    return [prose(dice, sentences=3) for _ in range(202)]


def read(lake: Lake, source: str, texts: list[str]) -> None:
    """Puts documents of a source into the lake."""
    documents = {
        "doc_id": [f"{source}-{n:04d}" for n in range(len(texts))],
        "source": [source] * len(texts),
        "content_hash": [content_hash(text) for text in texts],
        "text": texts,
    }
    lake.replace("raw.documents", pa.table(documents), run_id="read", source=source)


def measure(lake: Lake, source: str, **how: object) -> tuple[Measurement, Write]:
    measurement = Measurement(lake, source, **how)
    return measurement, lake.replace("filtered.signals", measurement, run_id="run", source=source)


def test_one_percent_more_documents_measures_exactly_those(lake: Lake, texts: list[str]) -> None:
    read(lake, "a", texts[:200])
    first, _ = measure(lake, "a")
    assert (first.documents, first.taken_over) == (200, 0)
    assert first.texts == dict.fromkeys(GROUPS, 200)
    read(lake, "a", texts)
    second, grown = measure(lake, "a")
    assert (second.documents, second.taken_over) == (202, 200)
    assert second.texts == dict.fromkeys(GROUPS, 2)
    third, same = measure(lake, "a")
    assert (third.taken_over, third.texts) == (202, {})
    assert same.data_version == grown.data_version
    ids = lake.query("SELECT doc_id FROM filtered.signals")["doc_id"].to_pylist()
    assert ids == sorted(ids) and len(ids) == 202


def test_what_is_taken_over_is_what_would_be_measured(lake: Lake, tmp_path: Path, texts: list[str]) -> None:
    fresh = Lake(tmp_path / "fresh")
    read(lake, "a", texts[:50])
    measure(lake, "a")
    for each in (lake, fresh):
        read(each, "a", texts[20:80])
    _, grown = measure(lake, "a")
    _, whole = measure(fresh, "a")
    assert grown.data_version == whole.data_version
    query = "SELECT * EXCLUDE (run_id) FROM filtered.signals"
    assert lake.query(query).equals(fresh.query(query))


def test_a_changed_text_is_measured_and_one_of_another_source_is_known(lake: Lake, texts: list[str]) -> None:
    read(lake, "a", texts[:10])
    measure(lake, "a")
    read(lake, "b", [*texts[5:10], texts[20], texts[20]])
    other, _ = measure(lake, "b")
    assert (other.taken_over, other.texts[LANGUAGE]) == (5, 1)
    read(lake, "a", [*texts[:9], texts[30]])
    changed, _ = measure(lake, "a")
    assert (changed.taken_over, changed.texts["words"]) == (9, 1)
    wrong = lake.query(
        "SELECT count(*) AS n FROM raw.documents JOIN filtered.signals USING (doc_id) "
        "WHERE characters <> length(text) OR documents.content_hash <> signals.content_hash"
    )
    assert wrong["n"].to_pylist() == [0]


@pytest.mark.parametrize("group", ["words", LANGUAGE])
def test_a_raised_version_measures_that_group_alone(
    lake: Lake, texts: list[str], monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    read(lake, "a", texts[:30])
    _, before = measure(lake, "a")
    if group == LANGUAGE:
        monkeypatch.setattr(language, "VERSION", 99)
    else:
        monkeypatch.setattr(measured, "VERSIONS", MappingProxyType({**VERSIONS, group: "99-raised"}))
    again, after = measure(lake, "a")
    assert again.texts == {group: 30} and again.taken_over == 0
    assert after.data_version != before.data_version
    (stamped,) = set(lake.query("SELECT signal_version FROM filtered.signals")["signal_version"].to_pylist())
    assert stamped == stamp(versions()) and f"{group}=99-" in stamped
    assert measure(lake, "a")[0].taken_over == 30


def test_rows_of_an_older_form_are_measured_anew(lake: Lake, texts: list[str]) -> None:
    old = {"doc_id": ["x"], "source": ["a"], "content_hash": [content_hash(texts[0])]}
    lake.replace("filtered.signals", pa.table({**old, "signal_version": ["5f1c0a"]}), run_id="r", source="a")
    read(lake, "a", texts[:3])
    found, write = measure(lake, "a")
    assert (found.taken_over, found.texts["size"], write.rows) == (0, 3, 3)


def test_a_stamp_tells_what_is_behind() -> None:
    now = versions()
    assert now.keys() == GROUPS
    assert stale(None, now) == GROUPS and stale("0f3a", now) == GROUPS
    assert stale(stamp(now), now) == set()
    assert stale(stamp(now | {"words": "0-old"}), now) == {"words"}


def test_a_source_without_documents(lake: Lake, texts: list[str]) -> None:
    read(lake, "b", texts[:1])
    nothing, write = measure(lake, "a")
    assert (nothing.documents, write.rows) == (0, 0)


def test_workers_change_nothing(lake: Lake, tmp_path: Path, texts: list[str]) -> None:
    other = Lake(tmp_path / "other")
    for each in (lake, other):
        read(each, "a", texts[:40])
    assert measure(lake, "a")[1].data_version == measure(other, "a", workers=2)[1].data_version
