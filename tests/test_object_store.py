"""The same source entry reads the same documents from this machine and from an S3-compatible store."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.engine import list_files, open_file
from assets.sources.ingest import fingerprint, ingest
from assets.sources.registry import Source
from assets.sources.rows import SourceError

BUCKET = "corpora"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Two shards of JSON Lines and one Parquet file, as names and bytes."""
    lines = [json.dumps({"text": f"Document {i} of the corpus."}) for i in range(50)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"Row {i} of the table." for i in range(40)], "n": range(40)}), sink)
    return {
        "lines/a.jsonl.gz": gzip.compress("\n".join(lines[:30]).encode()),
        "lines/deep/b.jsonl.gz": gzip.compress("\n".join([*lines[30:], "{broken"]).encode()),
        "tables/t.parquet": sink.getvalue().to_pybytes(),
        "lines/README": b"not a shard",
    }


@pytest.fixture(scope="module", autouse=True)
def store(files: dict[str, bytes]) -> Iterator[None]:
    """A local S3-compatible server that holds the files, named by AWS_ENDPOINT_URL."""
    import botocore.session
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        session = botocore.session.get_session()
        client = session.create_client("s3", "us-east-1", endpoint_url=settings["AWS_ENDPOINT_URL"])
        client.create_bucket(Bucket=BUCKET)
        for name, content in files.items():
            client.put_object(Bucket=BUCKET, Key=name, Body=content)
        yield
    server.stop()


@pytest.fixture
def local(files: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("reader", "uri"),
    [("jsonl", "lines"), ("jsonl", "lines/**/*.jsonl.gz"), ("parquet", "tables/*.parquet")],
)
def test_a_store_gives_the_same_documents(local: Path, reader: str, uri: str) -> None:
    here = Source("corpus", reader, "document", "web", (uri,))
    there = replace(here, uri=(f"s3://{BUCKET}/{uri}",))
    local_run, remote_run = ingest(here, local), ingest(there, local)
    assert pa.concat_tables(remote_run).equals(pa.concat_tables(local_run))
    assert remote_run.files.equals(local_run.files)
    assert remote_run.quarantine.equals(local_run.quarantine)
    assert fingerprint(there, local) == fingerprint(there, local) != fingerprint(here, local)


def test_a_folder_in_a_store_means_every_file_below_it() -> None:
    paths = [entry.path.removeprefix(f"s3://{BUCKET}/") for entry in list_files(f"s3://{BUCKET}/lines")]
    assert paths == ["lines/README", "lines/a.jsonl.gz", "lines/deep/b.jsonl.gz"]
    with open_file(f"s3://{BUCKET}/lines/README") as stream:
        assert stream.read(3) == b"not" and stream.seek(0) == 0 and stream.read() == b"not a shard"


def test_a_uri_that_names_nothing_in_the_store_is_an_error(tmp_path: Path) -> None:
    source = Source("corpus", "jsonl", "document", "web", (f"s3://{BUCKET}/nowhere/*.jsonl",))
    with pytest.raises(SourceError, match=r"'corpus': s3://corpora/nowhere/\*\.jsonl matches no file"):
        list(ingest(source, tmp_path))


def test_local_and_remote_files_do_not_mix_in_one_source(tmp_path: Path) -> None:
    source = Source("corpus", "jsonl", "document", "web", ("a.jsonl", f"s3://{BUCKET}/b.jsonl"))
    with pytest.raises(SourceError, match="local and remote"):
        list(ingest(source, tmp_path))
