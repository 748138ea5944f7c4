"""Readers of web pages: HTML files, and the WARC, ARC and WET archives of crawls."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from assets.engine import open_file
from assets.sources.languages import primary_subtag
from assets.sources.rows import PREFIX_BYTES, Read, Rejected, Row, Skipped, SourceFile
from assets.sources.streams import BLOCK, Corrupt, Inflated
from assets.sources.texts import decode, whole

if TYPE_CHECKING:
    from warcio.recordloader import ArcWarcRecord, ArcWarcRecordLoader
    from warcio.statusandheaders import StatusAndHeaders

    from assets.sources.registry import Source

HTML_TYPES = ("text/html", "application/xhtml+xml")

# A longer payload is no page that anyone wrote.
LONGEST_PAYLOAD = 1 << 28

DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)

# Browsers read these names as the larger encoding (WHATWG Encoding Standard), and pages rely on it.
BROWSER_ENCODINGS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
}


def html(file: SourceFile, source: Source) -> Iterator[Read]:
    """One document a file: the main text of the page."""
    content = whole(file)
    if isinstance(content, Rejected):
        yield content
    else:
        encoding = source.options.get("encoding")
        yield _page(content, str(encoding) if encoding else None, None, file.name, "file", {})


def warc(file: SourceFile, source: Source) -> Iterator[Read]:  # noqa: ARG001
    """The pages and plain texts among a WARC's or ARC's responses and resources."""
    yield from _archive(file, ("response", "resource"))


def wet(file: SourceFile, source: Source) -> Iterator[Read]:  # noqa: ARG001
    """The extracted texts of a WET file: its conversion records."""
    yield from _archive(file, ("conversion",))


def main_text(page: str, url: str | None = None) -> tuple[str, str]:
    """A page's main text and what found it: trafilatura's extraction, else all of the page's text."""
    import trafilatura

    extracted = trafilatura.extract(page, url=url, include_comments=False)
    if extracted and extracted.strip():
        return extracted, "trafilatura"
    return trafilatura.html2txt(page).strip(), "html2txt"


def _archive(file: SourceFile, kinds: tuple[str, ...]) -> Iterator[Read]:
    from warcio.archiveiterator import ArchiveIterator

    number = 0
    with open_file(file.path) as stream:
        inflated = Inflated(stream)
        # With HTTP headers parsed by warcio, a file that ends inside them would look like a healthy end.
        records = ArchiveIterator(inflated, no_record_parse=True)
        records.INC_RECORD = ""  # warcio would print what it stumbles over, whatever it holds
        while True:
            number += 1
            misfits = records.err_count
            try:
                record = next(records, None)
                if records.err_count > misfits:
                    yield Rejected(
                        f"after record {number - 1}", "a record's length doesn't fit what follows it"
                    )
                if record is None:
                    return
                offset = inflated.member if inflated.compressed else records.offset
                position = f"record {number} at byte {offset}"
                read = _record(record, records.loader, kinds, position, f"{file.name}#{number}")
                missing = _missing_bytes(record)
                yield Rejected(position, f"cut short: {missing} bytes are missing") if missing else read
            except OSError:
                raise
            except Exception as error:  # warcio raises as it stumbles: ValueError, KeyError, its own
                message, _, line = str(error).partition(", first line: ")
                rest = error.rest if isinstance(error, Corrupt) else line.encode("utf-8", "replace")
                yield Rejected(
                    f"record {number}", f"nothing more can be read: {message}", rest[:PREFIX_BYTES]
                )
                return


def _record(
    record: ArcWarcRecord,
    loader: ArcWarcRecordLoader,
    kinds: tuple[str, ...],
    position: str,
    fallback_key: str,
) -> Read:
    headers = record.rec_headers
    # Where a length is no number, warcio reads on with 0.
    if not (headers.get_header("Content-Length") or headers.get_header("length") or "").isdecimal():
        return Rejected(position, "a record without a length", str(headers).encode()[:PREFIX_BYTES])
    if record.rec_type not in kinds:
        return Skipped(position, f"{record.rec_type} record")
    # An ARC record has the same facts under other names, but no id.
    url = headers.get_header("WARC-Target-URI") or headers.get_header("uri") or ""
    date = headers.get_header("WARC-Date") or headers.get_header("archive-date")
    try:
        http = loader.load_http_headers(record.rec_type, url, record.raw_stream, record.length)
    except EOFError:
        return Rejected(position, "no HTTP headers")
    status = http.get_statuscode() if http else None
    if status and not status.startswith("2"):
        return Skipped(position, f"HTTP status {status}")
    declared = (http or headers).get_header("Content-Type") or ""
    media_type = declared.partition(";")[0].strip().lower()
    if media_type not in (*HTML_TYPES, "text/plain"):
        return Skipped(position, f"{media_type or 'untyped'} content")
    try:
        payload = _payload(record, http)
    except Exception as error:  # chunks and compressions as broken servers send them
        return Rejected(position, f"the payload can't be read: {error}")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", declared, re.IGNORECASE)
    encoding = charset[1] if charset else None
    metadata: dict[str, object] = {"content_type": media_type, "date": date}
    languages = headers.get_header("WARC-Identified-Content-Language")
    if languages:
        metadata["languages"] = languages
    language = primary_subtag(languages.split(",")[0]) if languages else None
    key = headers.get_header("WARC-Record-ID") or fallback_key
    if media_type in HTML_TYPES:
        return _page(payload, encoding, url or None, key, position, metadata)
    try:
        text = decode(payload, _browser_encoding(encoding))
    except UnicodeError as error:
        return Rejected(position, str(error), payload[:PREFIX_BYTES])
    return Row(key, position, text, url=url or None, language=language, metadata=metadata)


def _payload(record: ArcWarcRecord, http: StatusAndHeaders | None) -> bytes:
    """A record's payload, unchunked and decompressed."""
    from warcio.bufferedreaders import ChunkedDataReader

    stream = record.raw_stream
    if http and http.get_header("Transfer-Encoding") == "chunked":
        stream = ChunkedDataReader(stream)
    if http and (http.get_header("Content-Encoding") or "").lower() in ("gzip", "x-gzip", "zstd"):
        stream = Inflated(stream)  # warcio would end a damaged stream without a word
    content = bytearray()
    while block := stream.read(BLOCK):
        content += block
        if len(content) > LONGEST_PAYLOAD:
            raise ValueError(f"it is longer than {LONGEST_PAYLOAD >> 20} MiB")
    return bytes(content)


def _missing_bytes(record: ArcWarcRecord) -> int:
    """How many bytes of a record its file doesn't hold."""
    while record.raw_stream.read(BLOCK):
        pass
    return getattr(record.raw_stream, "limit", 0)


def _page(
    content: bytes,
    encoding: str | None,
    url: str | None,
    key: str,
    position: str,
    metadata: dict[str, object],
) -> Row | Rejected:
    in_page = DECLARED.search(content[:1024])
    try:
        page = decode(content, _browser_encoding(encoding or (in_page[1].decode() if in_page else None)))
        text, extractor = main_text(page, url)
    except Exception as error:  # lxml and trafilatura raise of all kinds on broken pages: one page, one row
        return Rejected(position, str(error) or type(error).__name__, content[:PREFIX_BYTES])
    return Row(key, position, text, url=url, metadata={**metadata, "extractor": extractor})


def _browser_encoding(name: str | None) -> str:
    try:
        known = codecs.lookup(name or "utf-8").name
    except LookupError:
        return str(name)
    return BROWSER_ENCODINGS.get(known, known)
