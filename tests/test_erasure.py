"""Erasure: whom a request names, what may not come back, and that nothing is left, however often it was cut off."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from projects import HANDBOOK, LETTERS, PERSONAL, Project, doc_id
from test_releases import facts

from assets.documents import DOCUMENT, QUARANTINE, content_hash, document_id
from assets.lake import Lake, Left
from assets.privacy.keys import PiiKey
from assets.privacy.subjects import RequestError, find_documents, read_request
from assets.privacy.tombstones import (
    TABLE,
    TombstoneError,
    Tombstones,
    load_tombstones,
    tombstones,
)
from assets.privacy.traces import Needles, find_traces, scrub
from assets.releases.store import ReleaseStore, Tainted
from assets.sources.ingest import Ingestion, ingest
from assets.sources.registry import Source
from orchestration import erasure

KEY = PiiKey(b"a key for these tests")
ADA = "ada.lovelace@engine.example.org"


def documents(*texts: str, source: str = "letters", **further: object) -> pa.Table:
    rows = [
        {
            "doc_id": document_id(source, str(n)),
            "source": source,
            "key": str(n),
            "content_hash": content_hash(text),
            "kind": "document",
            "text": text,
            "license": "CC0-1.0",
            "consent": "not_required",
            "synthetic": False,
            "metadata": "{}",
            **further,
        }
        for n, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=DOCUMENT)


def named(request: dict[str, object], *texts: str, **further: object) -> dict[int, set[str]]:
    """The numbers of the texts that a selector names, and what speaks of the person in each."""
    table = documents(*texts, **further)
    numbers = {doc_id: n for n, doc_id in enumerate(table["doc_id"].to_pylist())}
    matches = find_documents([table], read_request([json.dumps(request)]))
    return {numbers[match.doc_id]: set(match.strings) for match in matches}


# Whom a request names


def test_an_address_is_found_however_it_is_written() -> None:
    texts = [
        f"write to {ADA}.",
        "ADA.Lovelace@Engine.Example.ORG.Then she",
        f"to={ADA}, mailto:.{ADA}",
        "ada.love\u200blace@engine.example.org",
        "ａｄａ．ｌｏｖｅｌａｃｅ＠ｅｎｇｉｎｅ．ｅｘａｍｐｌｅ．ｏｒｇ",
        "аda.lovelace@engine.example.org with a Cyrillic letter",
        f"x{ADA}",
        "ada.lovelace@engine.example.organ",
        "nothing",
    ]
    found = named({"email": ADA.upper()}, *texts)
    assert found.keys() == {0, 1, 2, 3, 4, 5}
    assert found[0] == {ADA} and found[3] == {"ada.love\u200blace@engine.example.org"}


def test_a_number_is_found_however_it_is_written() -> None:
    texts = [
        "+44 20 7946 0018",
        "call (020) 7946-0018 today",
        "0044 (0)20 7946.0018 ext. 3",
        "2079460018",
        "numbers: 1, 020 7946 0018, 2",
        "120 7946 0018 7",
        "020 7946 0019",
        "12079460018",
    ]
    assert named({"phone": "+44 20 7946 0018"}, *texts).keys() == {0, 1, 2, 3, 4}
    assert named({"phone": "010-1234-5678"}, "전화 010 1234 5678", "010-1234-5679").keys() == {0}


def test_a_name_needs_its_context() -> None:
    texts = [
        "Ada  LOVELACE wrote notes on the analytical\nENGINE of Babbage, the Analytical Engine.",
        "Ada Lovelace lives here.",
        "Ada Lovelaces analytical engine",
        "The analytical engine.",
    ]
    found = named({"name": "Ada Lovelace", "context": ["Analytical Engine"]}, *texts)
    assert found == {0: {"Ada  LOVELACE"}}
    assert named({"name": "김철수", "context": "서울"}, "김철수는 서울에 산다", "김철수는 산다") == {
        0: {"김철수"}
    }
    # What is known of a document besides its text counts as well.
    metadata = json.dumps({"author": "Ada Lovelace", "of": "Analytical Engine"})
    assert named({"name": "Ada Lovelace", "context": "analytical engine"}, "x", metadata=metadata) == {
        0: {"Ada Lovelace"}
    }


def test_documents_are_named_by_id_key_and_address() -> None:
    assert named({"source": "letters", "key": "1"}, "a", "b") == {1: set()}
    assert named({"doc_id": document_id("letters", "0")}, "a", "b") == {0: set()}
    url = "https://example.org/ada/1"
    assert named({"url_prefix": "https://example.org/ada/"}, "a", url=url) == {0: {url}}
    assert named({"url_prefix": "https://example.org/bob/"}, "a", url=url) == {}


@pytest.mark.parametrize(
    "line",
    [
        "secret",
        "[]",
        "{}",
        '{"email": "secret"}',
        '{"email": ["secret"]}',
        '{"phone": "123 secret"}',
        '{"name": "Secret Name"}',
        '{"name": "Secret Name", "context": []}',
        '{"url_prefix": "https://secret"}',
        '{"doc_id": "secret"}',
        '{"source": "secret"}',
        '{"email": "secret@example.org", "key": "secret"}',
    ],
)
def test_a_line_that_names_nobody_is_refused_without_being_quoted(line: str) -> None:
    with pytest.raises(RequestError, match=r"^line 2: ") as refusal:
        read_request(['{"email": "ada@example.org"}', line])
    assert "secret" not in str(refusal.value).lower()
    with pytest.raises(RequestError, match="no line"):
        read_request(["", " "])


# What may not come back


def erased(*lines: dict[str, object], gone: pa.Table) -> Tombstones:
    selectors = read_request(map(json.dumps, lines))
    rows = tombstones(KEY, "e1", gone.to_pylist(), selectors).to_pylist()
    return Tombstones(KEY, frozenset(row["digest"] for row in rows), frozenset({"email", "phone"}))


def read(tmp_path: Path, lines: list[str], held: Tombstones, **columns: str) -> tuple[Ingestion, list[str]]:
    """A pass over a file of such lines, and the texts of its documents."""
    (tmp_path / "letters.jsonl").write_text("".join(f"{line}\n" for line in lines))
    source = Source(
        name="letters",
        uri=("letters.jsonl",),
        reader="jsonl",
        kind="document",
        profile="web",
        license="CC0-1.0",
        language="en",
        consent="not_required",
        owner="team:letters",
        columns={"text": "text", **columns},
    )
    ingestion = ingest(source, tmp_path, held)
    return ingestion, [text for table in ingestion for text in table["text"].to_pylist()]


def test_what_was_erased_is_held_back_and_counted(tmp_path: Path) -> None:
    gone = documents("The text of a letter.", "Another letter.")
    held = erased({"email": ADA}, {"phone": "+44 20 7946 0018"}, gone=gone)
    records = [
        {"id": "0", "text": "The letter, as its writer changed it since."},
        {"id": "9", "text": "Another letter."},
        {"id": "10", "text": f"A new one, by {ADA.upper()}."},
        {"id": "11", "text": "Call 020 7946 0018."},
        {"id": "12", "text": "Of somebody else, who is 12079460018."},
        {"id": "13", "text": ""},
        {"id": ADA, "text": ""},
    ]
    ingestion, texts = read(tmp_path, [*map(json.dumps, records)], held, key="id")
    assert texts == [records[4]["text"]]
    (file,) = ingestion.files.to_pylist()
    assert (file["rows_in"], file["documents"], file["quarantined"], file["erased"]) == (7, 1, 2, 4)


def test_a_row_that_is_told_by_its_place_is_held_back_by_its_text_alone(tmp_path: Path) -> None:
    """The row behind an erased one moves up when the owner takes that one out of the file."""
    lines = ['{"text": "A letter."}', '{"text": "The next one."}']
    ingestion, _ = read(tmp_path, lines, Tombstones())
    first = documents("A letter.").set_column(2, "key", pa.array(["letters.jsonl#1"]))
    assert ingestion.files["documents"].to_pylist() == [2]
    held = erased({"email": ADA}, gone=first)
    assert read(tmp_path, lines, held)[1] == ["The next one."]
    assert read(tmp_path, lines[1:], held)[1] == ["The next one."]


def test_a_refused_row_of_an_erased_person_shows_nothing(tmp_path: Path) -> None:
    held = erased({"email": ADA}, gone=documents())
    lines = ['{"id": 1, "text": "broken ' + ADA, '{"id": 2, "text": "broken']
    ingestion, _ = read(tmp_path, lines, held, key="id")
    assert ingestion.quarantine["prefix"].to_pylist() == [b"", lines[1].encode()]


def test_what_was_made_from_an_erased_document_is_held_back() -> None:
    held = erased({"email": ADA}, gone=documents("a"))
    (child,) = documents("made", source="qa", parents=[document_id("letters", "0")]).to_pylist()
    (other,) = documents("made", source="qa", parents=[document_id("letters", "1")]).to_pylist()
    assert held.holds(child) and not held.holds(other)


def test_tombstones_under_a_lost_key_let_nothing_in(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert not load_tombstones(lake, tmp_path / "key").holds(documents("a").to_pylist()[0])
    rows = tombstones(KEY, "e1", documents("a").to_pylist(), [])
    lake.append(TABLE, rows, run_id="erasure e1")
    with pytest.raises(TombstoneError, match=f"by the key {KEY.id}"):
        load_tombstones(lake, tmp_path / "key")
    assert ADA not in str(rows.to_pylist()) and document_id("letters", "0") not in str(rows.to_pylist())


# Where it still stands


NEEDLES = Needles(frozenset({"ab" * 16}), frozenset({ADA, "Zoë “Z” 김"}))


def write_parquet(path: Path, held: str) -> None:
    nested = [{"messages": [{"role": "user", "content": held}], "words": 1}]
    pq.write_table(pa.Table.from_pylist(nested), path)


def write_database(path: Path, held: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE events (id INTEGER, event TEXT)")
        inside = json.dumps({"metadata": [{"md": f"| kept |\n| {held} |\n| kept too |"}]})
        database.execute("INSERT INTO events VALUES (1, ?)", [json.dumps({"body": inside})])
        database.execute("INSERT INTO events VALUES (2, 'another')")
    database.close()


def packed(compress: Callable[[bytes], bytes]) -> Callable[[Path, str], object]:
    return lambda path, held: path.write_bytes(compress(f"x\n{held}\n".encode()))


WRITERS = {
    "plain.log": packed(lambda data: data),
    "escaped.json": lambda path, held: path.write_text(json.dumps([held])),
    "long.log": packed(lambda data: b"x" * ((8 << 20) - 12) + data),
    "hex.bin": packed(lambda data: b"abc" + data[2:]),
    "packed.gz": packed(gzip.compress),
    "packed.zst": packed(zstandard.compress),
    "frames.zst": packed(lambda data: zstandard.compress(b"first") + zstandard.compress(data)),
    "nested.parquet": write_parquet,
    "events.db": write_database,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("held", ["ab" * 16, ADA.upper(), "Zoë “Z” 김", "ac" * 16])
def test_a_string_is_found_wherever_it_is_packed(tmp_path: Path, name: str, held: str) -> None:
    WRITERS[name](tmp_path / name, held)
    found = find_traces([tmp_path / name, tmp_path / "gone"], NEEDLES)
    assert found == ([] if held == "ac" * 16 else [tmp_path / name])


def test_a_log_and_a_database_lose_the_lines_that_speak_of_someone(tmp_path: Path) -> None:
    log, database = tmp_path / "runs.log", tmp_path / "events.db"
    log.write_text(f"kept\nwrote to {ADA}\nkept too\n")
    write_database(database, ADA)
    with log.open("a") as still_open:
        for path in (log, database):
            scrub(path, NEEDLES)
        still_open.write("goes on\n")
    assert log.read_text() == "kept\n(erased)\nkept too\ngoes on\n"
    assert find_traces(tmp_path.iterdir(), NEEDLES) == []
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT event FROM events ORDER BY id").fetchall()
    assert json.loads(json.loads(rows[0][0])["body"]) == {
        "metadata": [{"md": "| kept |\n(erased)\n| kept too |"}]
    }
    assert rows[1] == ("another",)


def test_the_lake_keeps_no_byte_of_what_it_forgot(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for source in ("letters", "notes"):
        texts = [f"{ADA} is first"] + [f"text {n} of {source}" for n in range(50)] + ["zzz is last"]
        lake.replace("raw.documents", documents(*texts, source=source), run_id="r1", source=source)
    lake.replace("filtered.documents", documents(f"{ADA} once more", "b"), run_id="r2")
    gone = pa.table({"doc_id": [document_id(source, "0") for source in ("letters", "notes")]})
    version = lake.data_version("raw.documents", "letters")

    tables = ("raw.documents", "filtered.documents")
    told = "doc_id IN (SELECT doc_id FROM gone)"
    left = {table: Left(told, f"SELECT * FROM {table} WHERE NOT {told}") for table in tables}
    lake.rewrite(left, {"gone": gone}, message="erasure e1")
    lake.forget()
    lake.forget()

    needles = Needles(frozenset(gone["doc_id"].to_pylist()), frozenset({ADA}))
    kept = lake.query(
        "SELECT source, count(*) AS n, min(run_id) AS r FROM raw.documents GROUP BY ALL ORDER BY ALL"
    )
    assert kept.to_pylist() == [{"source": source, "n": 51, "r": "r1"} for source in ("letters", "notes")]
    assert lake.data_version("raw.documents", "letters") != version
    assert len(lake.snapshots()) == 1
    found = subprocess.run(
        [sys.executable, "-c", SEARCH, str(lake.root)],
        input=json.dumps([[*needles.ids], [*needles.strings]]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == []
    lake.replace("raw.documents", documents("new", source="notes"), run_id="r3", source="notes")
    assert lake.query("SELECT count(*) AS n FROM raw.documents")["n"].to_pylist() == [52]


# Past DuckDB, so in a process of its own.
SEARCH = """
import json, sys
from pathlib import Path
from assets.privacy.traces import Needles, find_traces
ids, strings = json.load(sys.stdin)
files = [path for path in Path(sys.argv[1]).rglob("*") if path.is_file()]
for path in find_traces(files, Needles(frozenset(ids), frozenset(strings))):
    print(path.name)
"""


# Everything at once


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a person in each of the places that there are."""
    home = tmp_path_factory.mktemp("erasure") / "home"
    lake, store = Lake(home / "lake"), ReleaseStore(home / "releases")
    letters = documents(f"A letter by {ADA}.", "Another.", "The third, much like the fourth.", "The fourth.")
    children = documents("Made of the letter.", "Made of another.", source="qa")
    parents = pa.array([[document_id("letters", str(n))] for n in range(2)], DOCUMENT.field("parents").type)
    children = children.set_column(DOCUMENT.get_field_index("parents"), DOCUMENT.field("parents"), parents)
    copies = documents("Mine.", "Another.", source="notes")
    for table in (letters, children, copies):
        source = table["source"][0].as_py()
        lake.replace("raw.documents", table, run_id="r1", source=source)
    refused = [
        {
            "source": "letters",
            "file": "letters.jsonl",
            "position": f"line {n}",
            "error": "no JSON",
            "prefix": prefix,
        }
        for n, prefix in enumerate((f'{{"text": "{ADA}'.encode(), b'{"text": "x'))
    ]
    lake.replace("raw.quarantine", pa.Table.from_pylist(refused, QUARANTINE), run_id="r1", source="letters")
    kept = pa.concat_tables([letters, children])
    lake.replace("filtered.documents", kept, run_id="r2")
    same = [
        {
            "doc_id": document_id("letters", str(n)),
            "cluster_id": document_id("letters", "2"),
            "is_keeper": n == 2,
        }
        for n in (2, 3)
    ]
    lake.replace("filtered.duplicates", pa.Table.from_pylist(same), run_id="r2")
    effects = [{"rule": "too_short", "examples": [document_id("letters", "0"), document_id("notes", "0")]}]
    lake.replace("filtered.rule_effects", pa.Table.from_pylist(effects), run_id="r2")
    lake.replace("scored.quality_training", letters.select(["doc_id", "source"]), run_id="r3")
    model = [{"name": "quality", "sha256": "ab" * 32, "model": f"words of {ADA}".encode()}]
    lake.replace("scored.quality_model", pa.Table.from_pylist(model), run_id="r3")
    for words in ("first", "second"):
        store.build(
            kept, facts(run_id=words, models={"quality": words}), pages={"README.md": lambda _: "a card"}
        )
    left = store.root / ".building-0123"
    left.mkdir()
    (left / "part-00000.parquet").write_text(f"what a killed builder left of {ADA}")
    for name in ("dagster/history/runs", "logs", "cache"):
        (home / name).mkdir(parents=True)
    write_database(
        home / "dagster" / "history" / "runs" / "index.db", f"{document_id('letters', '0')} | by {ADA}"
    )
    (home / "logs" / "runs.log").write_text(f"read\nlooked at {document_id('letters', '2')}\n")
    (home / "cache" / "compiled.json").write_text(f'["{ADA}"]')
    return home


REQUEST = [{"email": ADA.upper()}, {"source": "letters", "key": "2"}]


def erase(home: Path, *arguments: str, cut: str = "") -> subprocess.CompletedProcess[str]:
    """`winnow erase` in a process of its own; `cut` is the step after which it is killed."""
    request = home.parent / "request.jsonl"
    request.write_text("".join(json.dumps(line) + "\n" for line in REQUEST))
    theirs = ("DAGSTER_HOME", "DBT_TARGET_PATH", "DBT_LOG_PATH", "MPLCONFIGDIR")
    environment = {name: value for name, value in os.environ.items() if name not in theirs}
    return subprocess.run(
        [
            sys.executable,
            "-c",
            CUT,
            cut,
            "erase",
            *(argument.format(request=request) for argument in arguments),
        ],
        env=environment | {"WINNOW_HOME": str(home), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


CUT = """
import os, signal, sys
from orchestration import cli, erasure

def cut(step):
    def until(plan, place):
        step(plan, place)
        os.kill(os.getpid(), signal.SIGKILL)
    return until

cut_after = sys.argv.pop(1)
erasure.STEPS = tuple((name, cut(step) if name == cut_after else step) for name, step in erasure.STEPS)
cli.app()
"""


def left_of_them(home: Path) -> dict[str, object]:
    """All that is left, as far as it doesn't depend on when it was made."""
    lake, store = Lake(home / "lake"), ReleaseStore(home / "releases")
    tables = {
        table: lake.data_version(table)
        for table, columns in lake.columns().items()
        if "erasure_id" not in columns
    }
    (receipt,) = (home / "erasures").iterdir()
    told = json.loads(receipt.read_text())
    assert lake.query("SELECT receipt FROM governance.erasures")["receipt"].to_pylist() == [
        json.dumps(told, indent=2, ensure_ascii=False)
    ]
    counted = {
        table: lake.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py()
        for table in ("governance.tombstones", "governance.tainted", "governance.erasures")
    }
    releases = [(store.get(id).erased, store.verify(id)) for id in store.list()]
    events = [event.kind for event in store.events.read()]
    times = {"erasure", "finished_at", "files_searched"}
    return {
        "tables": tables,
        "counted": counted,
        "releases": (releases, events),
        "receipt": {name: value for name, value in told.items() if name not in times},
    }


def traces(home: Path) -> list[str]:
    """The files, keys aside, that still hold something of them, by a search of this test's own."""
    ids = [document_id("letters", str(n)) for n in (0, 2, 3)] + [document_id("qa", "0")]
    words = [
        word.encode() for word in (*ids, ADA, ADA.upper(), "letter by", "Made of the letter", "The fourth")
    ]
    found = []
    for path in home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet" and data.startswith(b"PAR1"):
                data += str(pq.read_table(path).to_pylist()).encode()
            found += [path.name for word in words if word in data]
    return found


@pytest.fixture(scope="module")
def erased_home(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home after an erasure that nothing disturbed, and what that said."""
    done = shutil.copytree(home, tmp_path_factory.mktemp("done") / "home")
    said = erase(done, "{request}", "--approved-by", "Petra Privacy", "--reason", "article 17")
    assert said.returncode == 0, said.stdout
    return done, said.stdout


@pytest.mark.slow
def test_without_a_name_it_shows_and_does_nothing(home: Path) -> None:
    def files() -> dict[str, bytes]:
        """Everything but caches, which looking fills."""
        read = (path for path in home.rglob("*") if path.is_file() and home / "cache" not in path.parents)
        return {str(path.relative_to(home)): path.read_bytes() for path in read}

    before = files()
    said = erase(home, "{request}")
    assert said.returncode == 0 and "Nothing was erased" in said.stdout
    assert "4 documents: 2 named, 1 copies of them, 1 made from them; 1 rows in quarantine." in said.stdout
    assert ADA not in said.stdout.lower() and document_id("letters", "0") not in said.stdout
    said = erase(home, "{request}", "--approved-by", "Petra", "--reason", f"asked by {ADA}")
    assert said.returncode == 2 and "quotes what is to be erased" in said.stdout
    assert files() == before
    assert len(traces(home)) > 10


@pytest.mark.slow
def test_nothing_is_left_and_a_receipt_says_what_went(erased_home: tuple[Path, str]) -> None:
    home, said = erased_home
    assert traces(home) == []
    assert ADA not in said.lower()
    lake, store = Lake(home / "lake"), ReleaseStore(home / "releases")
    left = lake.query("SELECT source, key FROM raw.documents ORDER BY ALL").to_pylist()
    assert [(row["source"], row["key"]) for row in left] == [
        ("letters", "1"),
        ("notes", "0"),
        ("notes", "1"),
        ("qa", "1"),
    ]
    assert lake.query("SELECT examples FROM filtered.rule_effects")["examples"].to_pylist() == [
        [document_id("notes", "0")]
    ]
    state = left_of_them(home)
    releases, events = state["releases"]
    assert releases == [(4, ()), (4, ())] and events == ["built", "built", "erased", "erased"]
    with pytest.raises(Tainted, match="4 of its documents were erased"):
        store.promote(store.list()[0], approved_by="Ada", reason="x", expected=None)
    receipt = state["receipt"]
    assert receipt["approved_by"] == "Petra Privacy" and receipt["reason"] == "article 17"
    assert receipt["documents"] == {"letters": 3, "qa": 1}
    assert receipt["named_by"] == {"selector": 2, "copy": 1, "child": 1}
    assert receipt["rows"] == {
        "filtered.documents": 4,
        "filtered.duplicates": 2,
        "filtered.rule_effects": 1,
        "raw.documents": 4,
        "raw.quarantine": 1,
        "scored.quality_model": 1,
        "scored.quality_training": 3,
    }
    tainted = lake.query("SELECT kind, id FROM governance.tainted ORDER BY ALL").to_pylist()
    assert [row["kind"] for row in tainted] == ["model", "release", "release"]
    assert tainted[0]["id"] == "ab" * 32 and {row["id"] for row in tainted[1:]} == set(store.list())


@pytest.mark.slow
@pytest.mark.parametrize("step", [name for name, _ in erasure.STEPS[:-1]])
def test_cut_off_after_any_step_it_ends_the_same(
    home: Path, erased_home: tuple[Path, str], tmp_path: Path, step: str
) -> None:
    cut = shutil.copytree(home, tmp_path / "home")
    said = erase(cut, "{request}", "--approved-by", "Petra Privacy", "--reason", "article 17", cut=step)
    assert said.returncode == -signal.SIGKILL, said.stdout
    plan = cut / "erasures" / "unfinished.json"
    assert plan.stat().st_mode & 0o077 == 0
    said = erase(cut)
    assert said.returncode == 0, said.stdout
    assert "An erasure that Petra Privacy approved was cut off; it goes on." in said.stdout
    assert traces(cut) == []
    assert left_of_them(cut) == left_of_them(erased_home[0])


def test_a_release_that_was_cut_off_between_log_and_file_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ReleaseStore(tmp_path)
    release = store.build(
        documents("a", "b", "c"), facts(), pages={"README.md": lambda _: "a card"}
    ).release_id
    gone = [document_id("letters", "1")]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("assets.releases.store._seal", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        store.erase(release, gone, by="Petra", erasure="e1")
    assert store.verify(release) == ("data/part-00000.parquet: changed",)
    assert store.erase(release, gone, by="Petra", erasure="e1") == 1
    assert store.verify(release) == () and store.get(release).erased == 1
    assert store.erase(release, gone, by="Petra", erasure="e1") == 0
    assert [event.kind for event in store.events.read()] == ["built", "erased"]
    assert store.events.verify() == ()


@pytest.mark.slow
def test_an_erasure_makes_anew_what_it_touched_and_nothing_else(green: Project, tmp_path: Path) -> None:
    project = green.copy(tmp_path / "project")
    champion = project.releases.alias("champion")
    before = project.made()
    records = project.records(LETTERS)
    theirs = [
        record["id"] for record in records if PERSONAL[0] in record["text"] or PERSONAL[2] in record["text"]
    ]
    request = tmp_path / "request.jsonl"
    request.write_text(json.dumps({"email": PERSONAL[0]}) + "\n" + json.dumps({"phone": PERSONAL[2]}) + "\n")

    done = project.winnow("erase", str(request), "--approved-by", "Petra Privacy")

    assert done.returncode == 0, done.stdout
    assert "The champion is tainted" in done.stdout
    made = project.made() - before
    assert made[("raw/documents", LETTERS)] == 1 and made[("filtered/decisions", None)] == 1
    assert not any(source == HANDBOOK for _, source in made)
    texts = " ".join(project.lake.query("SELECT text FROM raw.documents")["text"].to_pylist())
    assert PERSONAL[0] not in texts and PERSONAL[2] not in texts and PERSONAL[1] in texts
    (file,) = project.lake.query("FROM raw.ingestions WHERE source = ?", [LETTERS]).to_pylist()
    assert file["erased"] == len(theirs) > 2 and file["rows_in"] == file["documents"] + file["erased"]
    assert project.releases.get(champion).erased > 0 and project.releases.verify(champion) == ()
    candidate = project.releases.alias("candidate")
    assert candidate != champion and project.releases.get(candidate).erased == 0
    gone = project.lake.query("SELECT count(*) AS n FROM governance.tombstones WHERE kind = 'document'")
    assert gone["n"].to_pylist() == [len(theirs)]
    # The source still holds them; read again, it gives none back.
    project.write(LETTERS, [{**record, "text": record["text"] + " Changed."} for record in records])
    again = project.winnow("run", "--source", LETTERS)
    assert again.returncode == 0, again.stdout
    texts = " ".join(project.lake.query("SELECT text FROM raw.documents")["text"].to_pylist())
    assert PERSONAL[0] not in texts and "Changed." in texts
    needles = Needles(frozenset(doc_id(LETTERS, id) for id in theirs), frozenset({PERSONAL[0]}))
    files = [path for path in project.home.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert find_traces(files, needles) == []
