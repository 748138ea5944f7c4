"""Sources: the registry's word on every field, every reader on small files, and real data as a whole."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from assets.documents import DOCUMENT, content_hash, document_id
from assets.sources.files import find_files
from assets.sources.ingest import fingerprint, ingest
from assets.sources.languages import primary_subtag
from assets.sources.readers import READERS, FileReader
from assets.sources.registry import SOURCE, Source, load_sources, spdx
from assets.sources.rows import Rejected, Row, Skipped, SourceError

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared" / "data"

ENTRY = """
version: 1
sources:
  - name: web-pages
    uri: ["pages/*.html", "${FOLDER}/more"]
    reader: html
    kind: document
    profile: web
    license: apache-2.0 or MIT
    language: en
    collected_at: 2026-01-31
    consent: not_required
    owner: data team
    weight: 2
    cron: "0 4 * * 1"
    reference: true
"""


def read(
    root: Path, reader: str, uri: str | tuple[str, ...], kind: str = "document", **settings: Any
) -> pa.Table:
    """The documents of a source of which nothing is rejected."""
    uris = (uri,) if isinstance(uri, str) else uri
    ingestion = ingest(Source("corpus", reader, kind, "web", uris, **settings), root)
    documents = pa.concat_tables([DOCUMENT.empty_table(), *ingestion])
    assert ingestion.quarantine.to_pylist() == []
    return documents


def jsonl(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# The registry


def load(tmp_path: Path, text: str) -> tuple[Source, ...]:
    (tmp_path / "sources.yaml").write_text(text)
    return load_sources(tmp_path / "sources.yaml")


def test_an_entry_is_read_with_its_defaults(tmp_path: Path) -> None:
    (source,) = load(tmp_path, ENTRY)
    assert source.uri == ("pages/*.html", "${FOLDER}/more")
    assert source.license == "Apache-2.0 OR MIT"
    assert source.collected_at == datetime.date(2026, 1, 31)
    assert (source.weight, source.reference, source.releasable, source.synthetic) == (2.0, True, True, False)
    facts = source.facts()
    assert facts.schema == SOURCE and facts.num_rows == 1
    assert facts["source"].to_pylist() == ["web-pages"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("license: apache-2.0 or MIT", "license: free", "license: expected an SPDX licence expression"),
        ("license: apache-2.0 or MIT", "licence: MIT", "licence: unknown field; expected one of name, uri"),
        ("name: web-pages", "name: Web pages", "name: expected lower-case letters"),
        ("name: web-pages", "owner: x", "name: missing"),
        ("reader: html", "reader: docx", "reader: expected one of jsonl, parquet, .* got 'docx'"),
        ("reader: html", "reader: python-docs", "reader: python-docs takes no files"),
        ("kind: document", "kind: page", "kind: expected one of document, instruction"),
        ("profile: web", "profile: webb", "profile: expected one of web, sft"),
        ("language: en", "language: English", "language: expected a language code"),
        ("collected_at: 2026-01-31", "collected_at: lately", "collected_at: Invalid isoformat"),
        ("consent: not_required", "consent: true", "consent: expected one of granted"),
        ("weight: 2", "weight: -1", "weight: expected a number of 0 or more, got -1"),
        ('cron: "0 4 * * 1"', "cron: daily", "cron: expected five cron fields"),
        ("reference: true", "reference: 1", "reference: expected true or false, got 1"),
        ("reference: true", "options: {strip: true}", "options: strip is unknown to html; expected encoding"),
        ("reference: true", "options: {encoding: utf-9}", "options: unknown encoding: utf-9"),
        ("reference: true", "columns: {text: body}", "columns: a html file has none"),
        ("reference: true", "columns: {body: text}", "columns: body is no field of a document"),
        ('uri: ["pages/*.html", "${FOLDER}/more"]', "uri: 3", "uri: expected a text, got a int"),
        ('uri: ["pages/*.html", "${FOLDER}/more"]', "uri: package:x", "uri: package: is for generated"),
        ("version: 1", "version: 2", "sources.yaml: expected `version: 1` and `sources:`"),
    ],
)
def test_an_error_names_the_file_the_entry_and_the_field(
    tmp_path: Path, old: str, new: str, error: str
) -> None:
    assert old in ENTRY
    with pytest.raises(SourceError, match=error) as raised:
        load(tmp_path, ENTRY.replace(old, new, 1))
    assert str(raised.value).startswith("sources.yaml: ")
    assert "version" in old or "entry 1" in str(raised.value)


def test_turns_and_kinds_must_fit_together(tmp_path: Path) -> None:
    entry = ENTRY.replace("reader: html", "reader: jsonl")
    for columns, error in [
        ("{instruction: a}", "columns: instruction needs output beside it"),
        ("{instruction: a, output: b, text: c}", "columns: expected one of text, messages"),
        ("{messages: a}", "kind: rows with messages are turns, not documents"),
    ]:
        with pytest.raises(SourceError, match=error):
            load(tmp_path, entry.replace("reference: true", f"columns: {columns}"))


def test_names_are_unique_and_a_broken_file_is_named(tmp_path: Path) -> None:
    twice = ENTRY + ENTRY.split("sources:\n")[1]
    with pytest.raises(SourceError, match=r"sources.yaml: entry 2 \(web-pages\): name: another entry"):
        load(tmp_path, twice)
    with pytest.raises(SourceError, match=r"sources.yaml can't be read"):
        load(tmp_path, "sources: [")
    with pytest.raises(SourceError, match=r"none.yaml can't be read: No such file"):
        load_sources(tmp_path / "none.yaml")


def test_licences_are_normalised_or_refused() -> None:
    assert spdx("mit and (apache-2.0)") == "MIT AND Apache-2.0"
    assert spdx("LicenseRef-Our-Terms AND MIT") == "LicenseRef-Our-Terms AND MIT"
    assert spdx("NOASSERTION") == "NOASSERTION"
    for wrong in ("public domain", "MIT AND", "Apache 2.0", " "):
        with pytest.raises(ValueError, match="SPDX"):
            spdx(wrong)


def test_language_tags_have_one_form() -> None:
    tags = {"en": "en", "en-US": "en", "pt_BR": "pt", "eng": "en", "kor": "ko", "abq": "abq"}
    assert {tag: primary_subtag(tag) for tag in tags} == tags
    assert primary_subtag("English") is None and primary_subtag("007") is None


# Files and their names


def test_names_are_relative_to_the_folder_that_all_uris_share(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("a/x.jsonl", "a/deep/y.jsonl", "b/x.jsonl"):
        (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / name).write_text(jsonl({"text": name}))
    source = Source("corpus", "jsonl", "document", "web", ("corpus/a", "${ROOT}/corpus/b/*.jsonl"))
    monkeypatch.setenv("ROOT", str(tmp_path))
    names = [found.file.name for found in find_files(source, tmp_path, (".jsonl",))]
    assert names == ["a/deep/y.jsonl", "a/x.jsonl", "b/x.jsonl"]
    assert read(tmp_path, "jsonl", "corpus/a/x.jsonl")["key"].to_pylist() == ["x.jsonl#1"]
    assert read(tmp_path, "jsonl", ("corpus/b/x.jsonl", "corpus/b"))["key"].to_pylist() == ["x.jsonl#1"]
    assert not any(str(tmp_path) in str(row) for row in source.facts().to_pylist())


# Readers


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_jsonl_plain_and_compressed(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"text": f"Zeile {i} ü", "id": i, "lang": "de-AT", "extra": {"b": 1, "a": [None]}} for i in range(3)
    ]
    data = ("\ufeff" + jsonl(*rows) + "\n").encode()
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    parts = data[:40], data[40:]
    (tmp_path / f"a.jsonl{suffix}").write_bytes(b"".join(pack(part) for part in parts))  # two members
    documents = read(
        tmp_path,
        "jsonl",
        f"a.jsonl{suffix}",
        columns={"text": "text", "key": "id", "language": "lang"},
        license="MIT",
        consent="granted",
        collected_at=datetime.date(2026, 1, 31),
    )
    assert documents.schema == DOCUMENT
    assert documents.to_pylist()[2] == {
        "doc_id": document_id("corpus", "2"),
        "source": "corpus",
        "key": "2",
        "content_hash": content_hash("Zeile 2 ü"),
        "kind": "document",
        "text": "Zeile 2 ü",
        "messages": None,
        "language": "de",
        "url": None,
        "license": "MIT",
        "collected_at": datetime.date(2026, 1, 31),
        "consent": "granted",
        "synthetic": False,
        "generator": None,
        "parents": None,
        "metadata": '{"extra": {"a": [null], "b": 1}}',
    }


def test_parquet_csv_and_tsv_give_what_jsonl_gives(tmp_path: Path) -> None:
    texts = ["one, two", 'say "three"', "line\nbreak", "넷"]
    table = pa.table({"body": texts, "src": ["https://a.example/"] * 4, "lic": ["mit", "", "odd", "MIT"]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    (tmp_path / "a.jsonl").write_text(jsonl(*table.to_pylist()))
    import csv

    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([table.column_names, *(row.values() for row in table.to_pylist())])
    columns = {"text": "body", "url": "src", "license": "lic"}
    runs = {
        reader: read(tmp_path, reader, f"a.{reader}", columns=columns, license="CC0-1.0")
        for reader in ("jsonl", "parquet", "csv", "tsv")
    }
    for reader, documents in runs.items():
        assert documents["text"].to_pylist() == texts, reader
        assert documents["key"].to_pylist() == [f"a.{reader}#{i}" for i in range(1, 5)]
        assert documents["license"].to_pylist() == ["MIT", "CC0-1.0", "NOASSERTION", "MIT"]
        assert documents["metadata"].to_pylist() == ["{}", '{"lic": ""}', '{"license": "odd"}', "{}"]
        assert documents["url"].to_pylist() == ["https://a.example/"] * 4


def test_metadata_holds_what_parquet_can_hold_and_json_cannot(tmp_path: Path) -> None:
    when = datetime.datetime(2026, 1, 31, 12)
    table = pa.table({"text": ["a"], "when": [when], "score": [float("nan")], "raw": [b"\xff\x00"]})
    pq.write_table(table, tmp_path / "a.parquet")
    (metadata,) = read(tmp_path, "parquet", "a.parquet")["metadata"].to_pylist()
    assert json.loads(metadata) == {"when": str(when), "score": None, "raw": "/wA="}


def test_text_files_are_one_document_each(tmp_path: Path) -> None:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text("# Title\n\nText.\n")
    (tmp_path / "docs" / "b.rst").write_text("Title\n=====\n")
    (tmp_path / "docs" / "deep" / "c.txt").write_bytes("\ufeffmarked".encode("utf-16"))
    (tmp_path / "docs" / "d.txt.gz").write_bytes(gzip.compress(b"packed"))
    documents = read(tmp_path, "text", "docs")
    assert dict(zip(documents["key"].to_pylist(), documents["text"].to_pylist(), strict=True)) == {
        "a.md": "# Title\n\nText.\n",
        "b.rst": "Title\n=====\n",
        "d.txt.gz": "packed",
        "deep/c.txt": "\ufeffmarked",
    }


PARAGRAPH = "The harbour was quiet in the early morning, and only the gulls were awake above the boats. " * 3
PAGE = (
    "<html><head><meta charset='{charset}'><title>Harbour</title></head><body><nav><a href='/'>Home</a></nav>"
    "<article><h1>Harbour café</h1><p>{text}</p><p>{text}</p></article><footer>Imprint</footer></body></html>"
)


def test_html_pages_give_their_main_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(PAGE.format(charset="iso-8859-1", text=PARAGRAPH).encode("cp1252"))
    (tmp_path / "b.html").write_text("<html><body><ul><li>few</li><li>words</li></ul></body></html>")
    documents = read(tmp_path, "html", "*.html").to_pylist()
    assert "Harbour café" in documents[0]["text"] and PARAGRAPH.strip() in documents[0]["text"]
    assert "Imprint" not in documents[0]["text"]
    assert documents[0]["metadata"] == '{"extractor": "trafilatura"}'
    assert documents[1]["text"].split() == ["few", "words"]


def write_archive(path: Path) -> None:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    page = PAGE.format(charset="utf-8", text=PARAGRAPH).encode()
    replies = [
        ("https://a.example/1", "200 OK", [("Content-Type", "text/html; charset=utf-8")], page),
        (
            "https://a.example/2",
            "200 OK",
            [("Content-Type", "text/plain; charset=euc-kr")],
            "똠방각하".encode("cp949"),
        ),
        ("https://a.example/3", "404 Not Found", [("Content-Type", "text/html")], page),
        ("https://a.example/4", "200 OK", [("Content-Type", "image/gif")], b"GIF89a"),
        (
            "https://a.example/5",
            "200 OK",
            [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")],
            gzip.compress(b"packed text"),
        ),
        ("https://a.example/6", "200 OK", [("Content-Type", "text/plain")], b"caf\xe9"),
    ]
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "test"}))
        for url, status, headers, payload in replies:
            http = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
            request = StatusAndHeaders("GET / HTTP/1.1", [], is_http_request=True)
            record = writer.create_warc_record(url, "response", io.BytesIO(payload), http_headers=http)
            writer.write_record(record)
            writer.write_record(writer.create_warc_record(url, "request", http_headers=request))
        writer.write_record(
            writer.create_revisit_record("https://a.example/7", "sha1:A", "https://a.example/1", "x")
        )
        writer.write_record(
            writer.create_warc_record(
                "https://a.example/8",
                "conversion",
                io.BytesIO("추출한 글".encode()),
                warc_content_type="text/plain",
                warc_headers_dict={"WARC-Identified-Content-Language": "kor,eng"},
            )
        )


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc"])
def test_warc_and_wet(tmp_path: Path, name: str) -> None:
    write_archive(tmp_path / name)
    run = ingest(Source("crawl", "warc", "document", "web", (name,)), tmp_path)
    documents = pa.concat_tables(run).to_pylist()
    assert [row["url"][-1] for row in documents] == ["1", "2", "5"]
    assert documents[0]["key"].startswith("<urn:uuid:")
    assert "Imprint" not in documents[0]["text"]
    assert [row["text"] for row in documents[1:]] == ["똠방각하", "packed text"]
    (bad,) = run.quarantine.to_pylist()
    assert bad["error"].startswith("not utf-8") and bad["prefix"] == b"caf\xe9"
    # The place it names is where the record starts in the file.
    offset = int(bad["position"].rpartition(" ")[2])
    content = (tmp_path / name).read_bytes()[offset:]
    assert (gzip.decompress(content) if name.endswith("gz") else content).startswith(b"WARC/1.0")
    # 1 warcinfo, 6 requests, 1 revisit, 1 conversion, a 404 and an image.
    assert run.files.to_pylist()[0] | {"source": ""} == {
        "source": "",
        "file": name,
        "rows_in": 4,
        "documents": 3,
        "quarantined": 1,
        "skipped": 11,
        "erased": 0,
    }
    (converted,) = read(tmp_path, "wet", name).to_pylist()
    assert (converted["text"], converted["language"], converted["url"]) == (
        "추출한 글",
        "ko",
        "https://a.example/8",
    )


# Turns


def turns(tmp_path: Path, row: dict[str, Any], kind: str, **columns: str) -> dict[str, Any]:
    (tmp_path / "a.jsonl").write_text(jsonl(row))
    (document,) = read(tmp_path, "jsonl", "a.jsonl", kind, columns=columns).to_pylist()
    return dict(document)


def test_instructions_become_turns(tmp_path: Path) -> None:
    row = {"q": "Add the numbers.", "ctx": "1 and 2", "a": "3", "topic": "sums"}
    document = turns(tmp_path, row, "instruction", instruction="q", input="ctx", output="a")
    assert document["messages"] == [
        {"role": "user", "content": "Add the numbers.\n\n1 and 2"},
        {"role": "assistant", "content": "3"},
    ]
    assert document["text"] == "user: Add the numbers.\n\n1 and 2\n\nassistant: 3"
    assert document["metadata"] == '{"topic": "sums"}'


def test_a_dotted_column_reaches_inside_and_leaves_the_rest(tmp_path: Path) -> None:
    row = {"q": "Q", "instances": [{"input": "", "output": "A", "by": "me"}, {"output": "B"}]}
    document = turns(tmp_path, row, "instruction", instruction="q", output="instances.0.output")
    assert document["messages"][1]["content"] == "A"
    assert json.loads(document["metadata"]) == {"instances": [{"input": "", "by": "me"}, {"output": "B"}]}


@pytest.mark.parametrize(
    "conversation",
    [
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}],
    ],
)
def test_both_spellings_of_a_conversation(tmp_path: Path, conversation: list[dict[str, str]]) -> None:
    row = {"conversations": conversation, "sys": "Be brief."}
    document = turns(tmp_path, row, "conversation", messages="conversations", system="sys")
    assert document["text"] == "system: Be brief.\n\nuser: Hi\n\nassistant: Hello"


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"c": "\n\nHuman: Hi\n\nAssistant: Hello", "r": "\n\nHuman: Hi\n\nAssistant: Go"}, {}),
        ({"p": "Hi", "c": "Hello", "r": "Go"}, {"prompt": "p"}),
        (
            {
                "p": "Hi",
                "c": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
                "r": [{"role": "assistant", "content": "Go"}],
            },
            {"prompt": "p"},
        ),
    ],
)
def test_a_preference_keeps_the_chosen_answer_and_notes_the_rejected(
    tmp_path: Path, row: dict[str, Any], columns: dict[str, str]
) -> None:
    document = turns(tmp_path, row, "preference", chosen="c", rejected="r", **columns)
    assert document["text"] == "user: Hi\n\nassistant: Hello"
    assert json.loads(document["metadata"]) == {"rejected": [{"role": "assistant", "content": "Go"}]}


@pytest.mark.parametrize(
    ("columns", "row", "error"),
    [
        ({"messages": "m"}, {"m": []}, "expected a list of turns"),
        ({"messages": "m"}, {"m": [{"role": "oracle", "content": "x"}]}, "turn 1: role 'oracle' is none of"),
        ({"messages": "m"}, {"m": [{"role": "user"}]}, "turn 1: content is a NoneType, not a string"),
        ({"messages": "m"}, {"m": [{"role": "user", "content": " "}]}, "empty text"),
        ({"instruction": "q", "output": "a"}, {"q": "Q"}, "no value in column 'a'"),
        ({"instruction": "q", "output": "a"}, {"q": "Q", "a": 3}, "column 'a' holds a int, not a string"),
        ({"chosen": "c", "rejected": "r"}, {"c": "yes", "r": "no"}, "chosen: expected 'Human: "),
    ],
)
def test_what_is_no_conversation_is_quarantined(
    tmp_path: Path, columns: dict[str, str], row: dict[str, Any], error: str
) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl(row))
    run = ingest(Source("s", "jsonl", "conversation", "sft", ("a.jsonl",), columns), tmp_path)
    assert list(run) == []
    assert error in run.quarantine["error"][0].as_py()


# Fingerprints


def test_a_fingerprint_changes_with_what_would_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(jsonl({"text": "one"}))
    source = Source("s", "jsonl", "document", "web", ("*.jsonl",))
    first = fingerprint(source, tmp_path)
    assert fingerprint(source, tmp_path) == first
    assert fingerprint(replace(source, weight=3.0, cron="0 1 * * *"), tmp_path) == first
    assert fingerprint(replace(source, license="MIT"), tmp_path) != first
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    touched = fingerprint(source, tmp_path)
    assert touched != first
    (tmp_path / "b.jsonl").touch()
    assert fingerprint(source, tmp_path) not in (first, touched)


# Real data


@pytest.mark.slow
def test_real_data_is_read_whole() -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is not there")
    manifest = {row["file"]: row["rows"] for row in json.loads((SHARED / "MANIFEST.json").read_text())}
    for source in load_sources(TESTS / "shared_sources.yaml"):
        ingestion = ingest(source, TESTS)
        documents = sum(table.num_rows for table in ingestion)
        files = ingestion.files.to_pylist()
        assert all(file["rows_in"] == file["documents"] + file["quarantined"] for file in files)
        assert documents == sum(file["documents"] for file in files) > 0
        for file in files:
            # The manifest counts an archive's responses and resources; most of them are no text.
            folder = str(Path(source.uri[0]).parent).partition("shared/data/")[2]
            rows = manifest[f"{folder}/{file['file']}"]
            assert file["rows_in"] == rows or source.reader == "warc", file
        refused = Counter(row["error"].partition(":")[0] for row in ingestion.quarantine.to_pylist())
        assert refused == ({"not utf-8": 3, "empty text": 2} if "archive-crawl" in source.name else {})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aut/example.arc.gz", "aut/example.pdf.warc.gz", "aut/issue-493.warc"])
def test_every_record_of_an_archive_is_read_or_counted(name: str) -> None:
    path = SHARED / "warc" / name
    if not path.exists():
        pytest.skip(f"../shared/data/warc/{name} is not there")
    manifest = {row["file"]: row["rows"] for row in json.loads((SHARED / "MANIFEST.json").read_text())}
    source = Source("crawl", "warc", "document", "web", (name,))
    reader = READERS["warc"]
    assert isinstance(reader, FileReader)
    (found,) = find_files(source, SHARED / "warc", reader.suffixes)
    reads = list(reader.read(found.file, source))
    assert all(isinstance(read, Row | Rejected | Skipped) for read in reads)
    aside = ("arc_header", "warcinfo", "request", "revisit", "metadata")
    others = [read for read in reads if isinstance(read, Skipped) and read.reason.startswith(aside)]
    assert len(reads) - len(others) == manifest[f"warc/{name}"]
