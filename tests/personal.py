"""Documents to look for personal data in, and a key that hides nothing."""

from __future__ import annotations

import pyarrow as pa

from assets.documents import MESSAGES, content_hash
from assets.privacy.keys import PiiKey

KEY = PiiKey(b"a key for tests only")


def documents(*texts: str, language: str | None = None) -> pa.Table:
    return pa.table(
        {
            "doc_id": pa.array([f"{i:032x}" for i in range(len(texts))], pa.string()),
            "source": pa.array(["s"] * len(texts), pa.string()),
            "content_hash": pa.array([content_hash(text) for text in texts], pa.string()),
            "text": pa.array(texts, pa.string()),
            "messages": pa.nulls(len(texts), MESSAGES),
            "language": pa.array([language] * len(texts), pa.string()),
        }
    )
