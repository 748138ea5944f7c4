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
    from warcio.recordloader import ArcWarcRecord

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
        records = ArchiveIterator(inflated)
        while True:
            number += 1
            misfits = records.err_count
            try:
                record = next(records, None)
                if records.err_count > misfits:
                    yield Rejected(
                        f"after record {number - 1}", "the record's length doesn't fit what follows it"
                    )
                if record is None:
                    return
                offset = inflated.member if inflated.compressed else records.offset
                yield _record(record, kinds, f"record {number} at byte {offset}", f"{file.name}#{number}")
            except Exception as error:  # warcio raises as it stumbles: ValueError, KeyError, its own
                if isinstance(error, OSError):
                    raise
                rest = error.rest if isinstance(error, Corrupt) else b""
                yield Rejected(f"record {number}", f"nothing more can be read: {error}", rest[:PREFIX_BYTES])
                return


def _record(record: ArcWarcRecord, kinds: tuple[str, ...], position: str, fallback_key: str) -> Read:
    if record.rec_type not in kinds:
        return Skipped(position, f"{record.rec_type} record")
    headers, http = record.rec_headers, record.http_headers
    status = http.get_statuscode() if http else None
    if status and not status.startswith("2"):
        return Skipped(position, f"HTTP status {status}")
    declared = (http or headers).get_header("Content-Type") or ""
    media_type = declared.partition(";")[0].strip().lower()
    if media_type not in (*HTML_TYPES, "text/plain"):
        return Skipped(position, f"{media_type or 'untyped'} content")
    payload = _payload(record)
    if isinstance(payload, str):
        return Rejected(position, payload)
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", declared, re.IGNORECASE)
    encoding = charset[1] if charset else None
    # An ARC record has the same facts under other names, but no id.
    url = headers.get_header("WARC-Target-URI") or headers.get_header("uri")
    date = headers.get_header("WARC-Date") or headers.get_header("archive-date")
    metadata: dict[str, object] = {"content_type": media_type, "date": date}
    languages = headers.get_header("WARC-Identified-Content-Language")
    if languages:
        metadata["languages"] = languages
    language = primary_subtag(languages.split(",")[0]) if languages else None
    key = headers.get_header("WARC-Record-ID") or fallback_key
    if media_type in HTML_TYPES:
        return _page(payload, encoding, url, key, position, metadata)
    try:
        text = decode(payload, _browser_encoding(encoding))
    except UnicodeError as error:
        return Rejected(position, str(error), payload[:PREFIX_BYTES])
    return Row(key, position, text, url=url, language=language, metadata=metadata)


def _payload(record: ArcWarcRecord) -> bytes | str:
    """A record's payload, or the error where it is too long or cut short."""
    content = bytearray()
    stream = record.content_stream()
    while block := stream.read(BLOCK):
        content += block
        if len(content) > LONGEST_PAYLOAD:
            return f"a payload of more than {LONGEST_PAYLOAD >> 20} MiB"
    if getattr(record.raw_stream, "limit", 0) > 0:
        return f"cut short: {record.raw_stream.limit} bytes of the record are missing"
    return bytes(content)


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
