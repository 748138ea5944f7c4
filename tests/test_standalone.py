"""The commands on plain files: every reader, every kind of bad input, and decisions equal to the policy's."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import LETTERS, Project, prose
from projects import invoke as winnow

from assets.filters.signals import SIGNALS
from assets.rules import RULES, Rule, judge, load_rules

JUNK = "buy now " * 40


def rows(out: Path, name: str) -> list[dict[str, object]]:
    """What a command wrote, as rows."""
    return pq.read_table(out / f"{name}.parquet").to_pylist()


def verdicts(out: Path) -> dict[object, tuple[object, object]]:
    return {row["id"]: (row["verdict"], row["reason"]) for row in rows(out, "decisions")}


def write(path: Path, *records: Mapping[str, object] | bytes) -> Path:
    """A JSON Lines file; bytes are lines as they stand."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    content = b"\n".join(lines) + b"\n"
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def articles() -> list[str]:
    dice = Random(3)
    return [prose(dice, sentences=12) for _ in range(8)]


def test_each_document_is_decided_in_the_order_of_the_input(tmp_path: Path, articles: list[str]) -> None:
    texts = [articles[0], JUNK, articles[1], articles[0], articles[1] + " Postscript.", "too short"]
    file = write(tmp_path / "in.jsonl.gz", *({"id": f"d{n}", "text": text} for n, text in enumerate(texts)))
    done = winnow("filter", file, "--out", tmp_path / "out")
    decided = rows(tmp_path / "out", "decisions")
    assert [(row["id"], row["verdict"], row["reason"], row["keeper"]) for row in decided] == [
        ("d0", "keep", None, None),
        ("d1", "drop", "few_stop_words", None),
        ("d2", "drop", "near_duplicate", "d4"),
        ("d3", "drop", "exact_duplicate", "d0"),
        ("d4", "keep", None, None),
        ("d5", "drop", "too_short", None),
    ]
    assert {signal.name for signal in SIGNALS} | {"language", "language_score"} <= decided[0].keys()
    assert decided[0]["words"] == len(articles[0].split()) and decided[0]["language"] == "en"
    assert rows(tmp_path / "out", "kept") == [
        {"id": "d0", "text": articles[0]},
        {"id": "d4", "text": articles[1] + " Postscript."},
    ]
    assert "few_stop_words: english_stop_words < 2" in done and "25.0 % [4.6, 69.9] n=4" in done
    assert "Kept 2 of 6 documents: 33.3 % [9.7, 70.0] n=6" in done
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "decisions.parquet",
        "kept.parquet",
        "quarantine.parquet",
    ]


def test_steps_can_be_left_out_and_others_asked_for(tmp_path: Path, articles: list[str]) -> None:
    item = "Which of the seven ponds behind the observatory freezes first when the wind turns north?"
    german = (
        "Der Wind dreht nach Norden, und der erste der sieben Teiche hinter der Sternwarte friert zu. " * 6
    )
    file = write(
        tmp_path / "in.jsonl",
        {"id": 1, "text": articles[0]},
        {"id": 2, "text": articles[0]},
        {"id": 3, "text": f"{articles[1]} {item}"},
        {"id": 4, "text": german},
    )
    bench = write(tmp_path / "ponds.jsonl", {"id": "pond", "question": item})
    steps = ("--no-dedup", "--expect-language", "en", "--against", bench)
    winnow("filter", file, "--out", tmp_path / "out", *steps)
    decided = rows(tmp_path / "out", "decisions")
    assert [(row["id"], row["reason"]) for row in decided] == [
        ("1", None),
        ("2", None),
        ("3", "contaminated"),
        ("4", "wrong_language"),
    ]
    assert (decided[2]["benchmark"], decided[2]["benchmark_item"]) == ("ponds", "pond")
    assert "keeper" not in decided[0]
    bare = ("--no-dedup", "--no-language", "--profile", "sft")
    done = winnow("filter", file, "--out", tmp_path / "bare", *bare)
    assert "language" not in rows(tmp_path / "bare", "decisions")[0]
    assert "Not held" in done and "wrong_language" in done


def test_dedup_and_decontaminate_do_that_alone(tmp_path: Path, articles: list[str]) -> None:
    item = "Which of the seven ponds behind the observatory freezes first when the wind turns north?"
    texts = {"a": "short", "b": "short", "c": articles[0], "d": f"{articles[0]} End.", "e": item}
    file = write(tmp_path / "in.jsonl", *({"id": id, "text": text} for id, text in texts.items()))
    winnow("dedup", file, "--out", tmp_path / "dedup")
    decided = rows(tmp_path / "dedup", "decisions")
    assert [(row["id"], row["reason"], row["keeper"]) for row in decided] == [
        ("a", None, None),
        ("b", "exact_duplicate", "a"),
        ("c", "near_duplicate", "d"),
        ("d", None, None),
        ("e", None, None),
    ]
    assert decided[1]["similarity"] == 1.0 and 0.7 <= decided[2]["similarity"] <= 1
    bench = write(tmp_path / "ponds.jsonl", {"id": "pond", "question": item})
    winnow("decontaminate", file, "--against", bench, "--out", tmp_path / "clean")
    assert verdicts(tmp_path / "clean") == dict.fromkeys("abcd", ("keep", None)) | {
        "e": ("drop", "contaminated")
    }


def test_every_reader_by_the_files_name(tmp_path: Path, articles: list[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.jsonl.gz", {"id": "a", "content": articles[0]})
    pq.write_table(pa.table({"doc_id": [7], "text": [articles[1]]}), folder / "b.parquet")
    for suffix, delimiter in (("csv", ","), ("tsv", "\t")):
        with (folder / f"c.{suffix}").open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([["id", "text"], [suffix, articles[2]]])
    (folder / "d.txt").write_text(articles[3])
    (folder / "e.html").write_text(f"<html><body><article><p>{articles[4]}</p></article></body></html>")
    write(folder / "f.jsonl", {"instruction": "Say what you see.", "input": "", "output": articles[5]})
    (folder / "picture.png").write_bytes(b"\x89PNG")
    winnow("filter", folder, "--out", tmp_path / "out", "--no-dedup")
    kept = {row["id"]: row["text"] for row in rows(tmp_path / "out", "kept")}
    assert list(kept) == ["a", "7", "csv", "tsv", "d.txt", "e.html", "f.jsonl#1"]
    assert kept["7"] == articles[1] and kept["e.html"].split() == articles[4].split()
    assert kept["f.jsonl#1"] == f"user: Say what you see.\n\nassistant: {articles[5]}"


def test_jsonl_on_request_and_columns_by_name(tmp_path: Path, articles: list[str]) -> None:
    file = write(tmp_path / "in.dump", {"nr": "x", "meta": {"body": articles[0]}}, {"nr": "y", "meta": {}})
    named = ("--reader", "jsonl", "--text-column", "meta.body", "--id-column", "nr", "--format", "jsonl")
    winnow("filter", file, "--out", tmp_path / "out", *named)
    (kept,) = (tmp_path / "out" / "kept.jsonl").read_text().splitlines()
    assert json.loads(kept) == {"id": "x", "text": articles[0]}
    (refused,) = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(refused)["position"] == "line 2"


def test_bad_rows_are_named_and_the_others_read(tmp_path: Path, articles: list[str]) -> None:
    good = [{"id": f"g{n}", "text": text} for n, text in enumerate(articles)]
    file = write(
        tmp_path / "in.jsonl",
        good[0],
        b'{"id": "cut", "text": "no end',
        b"",
        b'{"id": "latin", "text": "caf\xe9"}',
        good[1],
        b'{"id": "half", "text": "\\ud800 alone"}',
        b'{"id": "none", "text": null}',
        b'{"id": "number", "text": 5}',
        b"[1, 2]",
        b'{"id": "g0", "text": "taken"}',
        b'{"text": "no id at all"}',
        b'{"id": "g0", "text": "taken again"} {"id": "two"}',
    )
    done = winnow("filter", file, "--out", tmp_path / "out")
    assert list(verdicts(tmp_path / "out")) == ["g0", "g1", "in.jsonl#11"]
    refused = [(row["position"], row["error"]) for row in rows(tmp_path / "out", "quarantine")]
    assert [position for position, _ in refused] == [f"line {n}" for n in (2, 4, 6, 7, 8, 9, 12, 10)]
    said = dict(refused)
    assert said["line 2"].startswith("malformed JSON")
    assert said["line 4"].startswith("not UTF-8")
    assert said["line 6"] == "text holds a lone surrogate, which UTF-8 can't carry"
    assert said["line 7"].startswith("no value in column 'text'")
    assert said["line 8"] == "column 'text' holds a int, not a string"
    assert said["line 9"] == "expected a JSON object, got a list"
    assert said["line 10"] == "its id 'g0' is that of document 1"
    assert said["line 12"].startswith("malformed JSON: Extra data")
    assert "in.jsonl, line 2: malformed JSON" in done
    assert "8 rows could not be read: see quarantine" in done


def test_one_id_twice_in_a_good_block_or_another_file(tmp_path: Path, articles: list[str]) -> None:
    one = write(tmp_path / "1.jsonl", *({"id": id, "text": articles[0]} for id in (1, 2, 2)))
    two = write(tmp_path / "2.jsonl", {"id": 2, "text": articles[1]}, {"id": 3, "text": articles[1]})
    winnow("filter", one, two, "--out", tmp_path / "out", "--no-dedup")
    assert list(verdicts(tmp_path / "out")) == ["1", "2", "3"]
    assert [(row["file"], row["position"]) for row in rows(tmp_path / "out", "quarantine")] == [
        ("1.jsonl", "line 3"),
        ("2.jsonl", "line 1"),
    ]


@pytest.mark.parametrize("cut", [12, 200])
def test_damaged_gzip_gives_what_stands_before_the_damage(
    tmp_path: Path, articles: list[str], cut: int
) -> None:
    records = b"".join(json.dumps({"id": n, "text": t}).encode() + b"\n" for n, t in enumerate(articles))
    whole = gzip.compress(records[:4000]) + gzip.compress(records[4000:])
    (tmp_path / "in.jsonl.gz").write_bytes(whole[:-cut])
    done = winnow("filter", tmp_path / "in.jsonl.gz", "--out", tmp_path / "out", "--no-dedup")
    (refused,) = rows(tmp_path / "out", "quarantine")
    found = len(rows(tmp_path / "out", "decisions"))
    assert 0 < found < len(articles)
    assert refused["position"] == f"line {found + 1}"
    assert refused["error"] == "nothing more can be read: the compressed data ends early"
    assert "ends early" in done


def test_files_without_a_document(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    blank = tmp_path / "blank.jsonl"
    blank.write_text("\n\n")
    noise = tmp_path / "noise.jsonl.gz"
    noise.write_bytes(b"\x1f\x8b\x08\x00 noise")
    done = winnow("filter", empty, blank, noise, "--out", tmp_path / "out")
    assert rows(tmp_path / "out", "decisions") == rows(tmp_path / "out", "kept") == []
    assert "words" in pq.read_schema(tmp_path / "out" / "decisions.parquet").names
    assert len(rows(tmp_path / "out", "quarantine")) == 1
    for name in ("empty.jsonl", "blank.jsonl", "noise.jsonl.gz"):
        assert f"{name}: no documents in it" in done


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.jsonl",), "nowhere.jsonl matches no file"),
        (("data.bin",), "data.bin: its name tells no reader; name one of jsonl, parquet"),
        (("other.jsonl",), "other.jsonl: no text column; it has id, words: name one with --text-column"),
        (("other.jsonl", "--text-column", "prose"), "no column 'prose' for the text; it has id, words"),
        (("other.jsonl", "--id-column", "nr"), "no column 'nr' for the id; it has id, words"),
        (("other.jsonl", "--reader", "docx"), "no reader 'docx'; there are jsonl, parquet"),
        (("other.jsonl", "--profile", "webb"), "there is no profile 'webb'; there are code, "),
    ],
)
def test_what_is_asked_wrongly(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "data.bin").write_bytes(b"1")
    write(tmp_path / "other.jsonl", {"id": "a", "words": "text"})
    first, *options = arguments
    done = winnow("filter", tmp_path / first, "--out", tmp_path / "out", *options, code=2)
    assert said in done and "Traceback" not in done
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "\x00" * 300,
        "a" * 1_000_000,
        "one\rtwo\r\nthree\n" * 50,
        "🙂 " * 200,
        "1234567890 " * 99,
    ],
    ids=["empty", "blank", "nul", "long line", "mixed newlines", "emoji", "digits"],
)
def test_hostile_texts_get_a_verdict(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "in.jsonl", {"id": "x", "text": text})
    winnow("filter", file, "--out", tmp_path / "out")
    ((verdict, reason),) = verdicts(tmp_path / "out").values()
    assert verdict == "drop" and reason


def test_workers_change_nothing(tmp_path: Path, articles: list[str]) -> None:
    texts = [*articles, JUNK, *(f"{article} {n}" for n, article in enumerate(articles))]
    for shard in range(4):
        some = enumerate(texts[shard::4])
        write(tmp_path / f"{shard}.jsonl", *({"id": f"{shard}-{n}", "text": text} for n, text in some))
    for workers in (1, 2):
        winnow(
            "filter", tmp_path, "--reader", "jsonl", "--out", f"{tmp_path}-{workers}", "--workers", workers
        )
    for name in ("decisions", "kept"):
        one, two = (Path(f"{tmp_path}-{workers}") / f"{name}.parquet" for workers in (1, 2))
        assert one.read_bytes() == two.read_bytes()


values = st.floats(0, 2, width=16)


@given(
    st.lists(st.tuples(values, values), min_size=1, max_size=20),
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["<", "<=", ">", ">="]),
            values,
            st.sampled_from(["drop", "flag"]),
        ),
        max_size=6,
    ),
)
def test_rules_mean_what_they_mean_in_sql(
    documents: list[tuple[float, float]], limits: list[tuple[str, str, float, str]]
) -> None:
    rules = [Rule(n, f"rule_{n}", 1, "filtered", "web", *limit) for n, limit in enumerate(limits)]
    evidence = pa.table({"a": [a for a, _ in documents], "b": [b for _, b in documents]})
    clauses = [
        f"WHEN {rule.signal} {rule.comparison} {rule.threshold!r}::DOUBLE THEN '{rule.name}'"
        for rule in rules
        if rule.action == "drop"
    ]
    expression = f"CASE {' '.join(clauses)} END" if clauses else "NULL"
    with duckdb.connect() as connection:
        connection.register("evidence", evidence)
        reasons = [row[0] for row in connection.execute(f"SELECT {expression} FROM evidence").fetchall()]
    assert judge(evidence, rules)["reason"].to_pylist() == reasons


def test_a_line_that_is_no_rule_is_named(tmp_path: Path) -> None:
    lines = RULES.read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "rules.csv"
    broken.write_text("\n".join([lines[0], lines[1].replace(",>,", ",=,")]))
    with pytest.raises(ValueError, match=r"rules.csv, line 2: comparison '=' is none of <, <=, >, >="):
        load_rules(broken)


@pytest.mark.slow
def test_decisions_are_those_of_the_policy_in_sql(green: Project, tmp_path: Path) -> None:
    wanted = green.lake.query(
        "SELECT documents.key, decisions.verdict = 'removed' AS dropped, decisions.reason "
        "FROM filtered.decisions JOIN raw.documents USING (doc_id) WHERE documents.source = ?",
        [LETTERS],
    ).to_pylist()
    out = tmp_path / "out"
    winnow("filter", green.root / f"{LETTERS}.jsonl", "--out", out, "--expect-language", "en")
    decided = verdicts(out)
    assert len(decided) == len(wanted) > 100
    # Of two copies the one with the smaller id is kept, and ids are others in the lake.
    copies = {"exact_duplicate", "near_duplicate"}
    pairs = [((row["dropped"], row["reason"]), decided[row["key"]]) for row in wanted]
    different = [(one, other) for one, other in pairs if one != (other[0] == "drop", other[1])]
    assert all({one[1], other[1]} & copies for one, other in different)
    assert len({reason for _, reason in decided.values()}) >= 4
