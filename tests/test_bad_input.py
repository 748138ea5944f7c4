"""Bad input: nothing is lost, nothing passes silently, and every error names its file and row."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from assets.documents import DOCUMENT
from assets.sources.ingest import Ingestion, ingest
from assets.sources.registry import Source
from assets.sources.rows import SourceError

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def read(root: Path, reader: str, uri: str, **settings: object) -> tuple[pa.Table, Ingestion]:
    """A source's documents and its finished ingestion, every file of which is reconciled."""
    ingestion = ingest(Source("corpus", reader, "document", "web", (uri,), **settings), root)  # type: ignore[arg-type]
    documents = pa.concat_tables([DOCUMENT.empty_table(), *ingestion])
    for file in ingestion.files.to_pylist():
        assert file["rows_in"] == file["documents"] + file["quarantined"], file
    assert sum(ingestion.files["documents"].to_pylist()) == documents.num_rows
    assert sum(ingestion.files["quarantined"].to_pylist()) == ingestion.quarantine.num_rows
    return documents, ingestion


def only(ingestion: Ingestion) -> dict[str, object]:
    """The one row in quarantine."""
    (row,) = ingestion.quarantine.to_pylist()
    return dict(row)


def lines(*texts: str) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


@pytest.mark.parametrize("reader", ["jsonl", "parquet", "csv", "text", "html", "warc", "wet"])
def test_an_empty_file_is_no_rows_and_no_exception(tmp_path: Path, reader: str) -> None:
    (tmp_path / "empty").touch()
    documents, ingestion = read(tmp_path, reader, "empty")
    assert documents.num_rows == 0
    assert ingestion.files.to_pylist() == [
        {
            "source": "corpus",
            "file": "empty",
            "rows_in": 0,
            "documents": 0,
            "quarantined": 0,
            "skipped": 0,
            "erased": 0,
        }
    ]


def test_a_source_of_zero_rows_is_no_exception(tmp_path: Path) -> None:
    (tmp_path / "blank.jsonl").write_bytes(b"\n\n")
    (tmp_path / "header.csv").write_bytes(b"text,key\n")
    assert read(tmp_path, "jsonl", "blank.jsonl")[0].num_rows == 0
    assert read(tmp_path, "csv", "header.csv")[0].num_rows == 0


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_truncated_file_keeps_the_rows_before_the_break(tmp_path: Path, suffix: str) -> None:
    whole = lines(*(f"Line {i} {os.urandom(40).hex()}" for i in range(5000)))
    packed = gzip.compress(whole) if suffix == "gz" else zstandard.compress(whole)
    (tmp_path / f"a.jsonl.{suffix}").write_bytes(packed[: len(packed) // 2])
    documents, ingestion = read(tmp_path, "jsonl", f"a.jsonl.{suffix}")
    assert 1000 < documents.num_rows < 4000
    row = only(ingestion)
    assert row["file"] == f"a.jsonl.{suffix}" and row["position"] == f"line {documents.num_rows + 1}"
    assert "ends early" in str(row["error"]) and row["prefix"]


def test_a_damaged_gzip_file_is_told_from_a_healthy_end(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines("One", "Two")) + gzip.compress(lines("Three")))
    packed[-8] ^= 0xFF  # the checksum of the second member
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    documents, ingestion = read(tmp_path, "jsonl", "a.jsonl.gz")
    assert documents["text"].to_pylist() == ["One", "Two"]
    assert "damaged" in str(only(ingestion)["error"])


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"text": "unfinished', "malformed JSON"),
        (b'["a", "list"]', "expected a JSON object, got a list"),
        (b'{"text": "caf\xe9"}', "not UTF-8"),
        (b'{"txt": "a typing error"}', "no value in column 'text'; the row has txt"),
        (b'{"text": null}', "no value in column 'text'"),
        (b'{"text": 12}', "column 'text' holds a int, not a string"),
        (b'{"text": " \\n "}', "empty text"),
        (b'{"text": "half a pair \\ud83d"}', "text holds a lone surrogate"),
        (b'{"text": "fine", "note": "\\udc00"}', "metadata holds a lone surrogate"),
        (b'{"text": ' + b"[" * 100_000, "malformed JSON"),
    ],
)
def test_a_bad_line_is_quarantined_and_the_run_goes_on(tmp_path: Path, line: bytes, error: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines("First") + line + b"\n" + lines("Last"))
    documents, ingestion = read(tmp_path, "jsonl", "a.jsonl")
    assert documents["text"].to_pylist() == ["First", "Last"]
    assert documents["key"].to_pylist() == ["a.jsonl#1", "a.jsonl#3"]
    row = only(ingestion)
    assert (row["source"], row["file"], row["position"]) == ("corpus", "a.jsonl", "line 2")
    assert error in str(row["error"])
    if "surrogate" not in error and "empty" not in error:
        assert row["prefix"] == line[:200]


def test_wrong_encoding_in_a_text_file_is_quarantined_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("Grüße", encoding="utf-8")
    (tmp_path / "legacy.txt").write_bytes("Grüße".encode("latin-1"))
    documents, ingestion = read(tmp_path, "text", "*.txt")
    assert documents["text"].to_pylist() == ["Grüße"]
    row = only(ingestion)
    assert row["file"] == "legacy.txt" and row["error"] == "not utf-8: invalid start byte at byte 2"
    assert row["prefix"] == "Grüße".encode("latin-1")
    assert read(tmp_path, "text", "legacy.txt", options={"encoding": "latin-1"})[0].num_rows == 1


def test_bad_csv_rows_are_quarantined_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbftext,note\n"two\nlines",x\nshort\ncaf\xe9,x\na "b" c,x\n"c"d,x\nlast,x\n'
    )
    documents, ingestion = read(tmp_path, "csv", "a.csv")
    assert documents["text"].to_pylist() == ["two\nlines", 'a "b" c', "last"]
    errors = ingestion.quarantine.select(["position", "error"]).to_pylist()
    assert [row["position"] for row in errors] == ["line 4", "line 5", "line 7"]
    assert errors[0]["error"] == "1 values under a header of 2"
    assert errors[1]["error"] == "not utf-8: a byte does not decode"
    assert errors[2]["error"].startswith("malformed row")
    assert ingestion.quarantine["prefix"].to_pylist() == [b"short", b"caf\xe9,x", b'"c"d,x']


def test_a_parquet_row_that_is_not_utf8_is_quarantined_alone(tmp_path: Path) -> None:
    raw = pa.array([b"first", b"caf\xe9", b"last"], pa.binary())
    strings = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    pq.write_table(pa.table({"text": strings}), tmp_path / "a.parquet")
    documents, ingestion = read(tmp_path, "parquet", "a.parquet")
    assert documents["text"].to_pylist() == ["first", "last"]
    row = only(ingestion)
    assert row["position"] == "row 2" and "not UTF-8" in str(row["error"]) and row["prefix"] == b"caf\xe9"


def test_a_truncated_parquet_file_is_quarantined(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    documents, ingestion = read(tmp_path, "parquet", "*.parquet")
    assert documents.num_rows == 0
    assert only(ingestion)["file"] == "a.parquet" and only(ingestion)["position"] == "row 1"


@pytest.mark.parametrize("reader", ["csv", "parquet"])
def test_a_missing_column_stops_the_source_and_names_what_there_is(tmp_path: Path, reader: str) -> None:
    (tmp_path / "a.csv").write_text("body,id\nx,1\n")
    pq.write_table(pa.table({"body": ["x"], "id": [1]}), tmp_path / "a.parquet")
    message = rf"source 'corpus': a\.{reader}: the header has no column 'text' .*; it has body, id"
    with pytest.raises(SourceError, match=message):
        read(tmp_path, reader, f"a.{reader}")


def test_a_key_that_is_taken_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n')
    (tmp_path / "b.jsonl").write_text('{"id": 1, "text": "other"}\n{"text": "no id"}\n')
    documents, ingestion = read(tmp_path, "jsonl", "*.jsonl", columns={"text": "text", "key": "id"})
    assert documents["key"].to_pylist() == ["1", "2"]
    taken, keyless = ingestion.quarantine.to_pylist()
    assert (taken["file"], taken["position"]) == ("b.jsonl", "line 1")
    assert taken["error"] == "its key is taken by line 1 of a.jsonl"
    assert "no key in column 'id'" in keyless["error"]


def test_a_document_of_50_mb_is_a_document(tmp_path: Path) -> None:
    text = "All work and no play makes Jack a dull boy.\n" * (50 * 1024 * 1024 // 44)
    with (tmp_path / "a.jsonl").open("wb") as file:
        for row in ("small", text, "small again"):
            file.write(lines(row))
    tracemalloc.start()
    documents, ingestion = read(tmp_path, "jsonl", "a.jsonl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert documents["text"].to_pylist() == ["small", text, "small again"]
    assert ingestion.quarantine.num_rows == 0
    assert peak < 8 * len(text)


def test_batches_are_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_bytes(lines(*(f"row {i}" for i in range(10_001))))
    (tmp_path / "large.jsonl").write_bytes(lines(*(str(i) * (20 << 20) for i in range(5))))
    source = Source("corpus", "jsonl", "document", "web", ("many.jsonl",))
    assert [table.num_rows for table in ingest(source, tmp_path)] == [10_000, 1]
    source = Source("corpus", "jsonl", "document", "web", ("large.jsonl",))
    assert [table.num_rows for table in ingest(source, tmp_path)] == [4, 1]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("not for training")
    corpus = tmp_path / "corpus"
    (corpus / "deep").mkdir(parents=True)
    (corpus / "deep" / "a.txt").write_text("A document.")
    (corpus / "inside.txt").symlink_to(corpus / "deep" / "a.txt")
    (corpus / "out.txt").symlink_to(tmp_path / "secret" / "key.txt")
    (corpus / "folder").symlink_to(tmp_path / "secret")
    (corpus / "gone.txt").symlink_to(corpus / "nowhere.txt")
    for uri in ("corpus", "corpus/**", "corpus/**/*"):
        documents, ingestion = read(tmp_path, "text", uri)
        assert documents["text"].to_pylist() == ["A document.", "A document."]
        errors = dict(
            zip(*(ingestion.quarantine[name].to_pylist() for name in ("file", "error")), strict=True)
        )
        assert set(errors) == {"folder", "gone.txt", "out.txt"}
        assert "leads out of the source's folder" in errors["out.txt"]
        assert not any(str(tmp_path) in str(row) for row in ingestion.quarantine.to_pylist())


def test_files_that_a_folder_holds_besides_are_counted(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("A document.")
    (tmp_path / "corpus" / "logo.png").write_bytes(b"\x89PNG")
    documents, ingestion = read(tmp_path, "text", "corpus")
    assert documents["key"].to_pylist() == ["a.txt"]
    assert ingestion.files.select(["file", "rows_in", "skipped"]).to_pylist() == [
        {"file": "a.txt", "rows_in": 1, "skipped": 0},
        {"file": "logo.png", "rows_in": 0, "skipped": 1},
    ]


@pytest.mark.parametrize("reader", ["jsonl", "text"])
def test_a_uri_that_matches_nothing_is_an_error(tmp_path: Path, reader: str) -> None:
    for uri in ("nowhere/*.x", "nowhere", "no.x"):
        with pytest.raises(SourceError, match=f"'corpus': {uri.replace('*', '.')} matches no file"):
            read(tmp_path, reader, uri)


def test_an_unknown_reader_and_an_unset_variable_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'corpus': no reader 'docx'; there are jsonl, parquet"):
        read(tmp_path, "docx", "a")
    with pytest.raises(SourceError, match="NO_SUCH_FOLDER is not set in the environment"):
        read(tmp_path, "text", "${NO_SUCH_FOLDER}/*.txt")


def test_a_file_that_cannot_be_opened_stops_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*(f"row {i}" for i in range(10_001))))
    (tmp_path / "b.jsonl").write_bytes(lines("Last"))
    tables = iter(ingest(Source("corpus", "jsonl", "document", "web", ("*.jsonl",)), tmp_path))
    assert next(tables).num_rows == 10_000
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(SourceError, match=r"'corpus': b\.jsonl: No such file"):
        list(tables)


def test_counts_are_withheld_until_every_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines("One"))
    ingestion = ingest(Source("corpus", "jsonl", "document", "web", ("a.jsonl",)), tmp_path)
    with pytest.raises(RuntimeError, match="read all of its documents first"):
        _ = ingestion.files
    assert sum(table.num_rows for table in ingestion) == 1
    assert ingestion.quarantine.num_rows == 0
    with pytest.raises(RuntimeError, match="ingested already"):
        list(ingestion)


def test_a_corrupt_arc_file_keeps_what_came_before() -> None:
    file = SHARED / "warc" / "aut" / "badexample.arc.gz"
    if not file.exists():
        pytest.skip("../shared/data/warc/aut/badexample.arc.gz is not there")
    documents, ingestion = read(file.parent, "warc", file.name)
    assert documents["url"].to_pylist() == ["http://www.archive.org/robots.txt"]
    errors = ingestion.quarantine.select(["position", "error"]).to_pylist()
    assert [row["position"] for row in errors] == ["record 4 at byte 0", "record 5"]
    assert errors[-1]["error"] == "nothing more can be read: Invalid ARC record"
    assert b"charset=UTF-8" in ingestion.quarantine["prefix"][-1].as_py()


def test_a_truncated_warc_file_keeps_the_records_before_the_break(tmp_path: Path) -> None:
    file = SHARED / "warc" / "dolma" / "sample-0000.warc.gz"
    if not file.exists():
        pytest.skip("../shared/data/warc/dolma/sample-0000.warc.gz is not there")
    content = file.read_bytes()
    (tmp_path / "a.warc.gz").write_bytes(content[: len(content) // 2])
    documents, ingestion = read(tmp_path, "warc", "a.warc.gz")
    assert 0 < documents.num_rows < 24
    row = only(ingestion)
    assert "ends early" in str(row["error"]) and str(row["position"]).startswith("record ")
    # Wherever the uncompressed file ends, in a page or in the headers above it, one record is short.
    whole = gzip.decompress(content)
    for end in (whole.index(b"<html") + 2000, whole.index(b"HTTP/1.1 200") + 40):
        (tmp_path / "b.warc").write_bytes(whole[:end])
        assert "bytes are missing" in str(only(read(tmp_path, "warc", "b.warc")[1])["error"])


def test_a_file_that_is_no_archive_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"this is not a WARC file\n" * 3)
    documents, ingestion = read(tmp_path, "warc", "a.warc")
    assert documents.num_rows == 0
    first, *_ = ingestion.quarantine.to_pylist()
    assert first["position"] == "record 1 at byte 0" and first["error"] == "a record without a length"
