"""What datatrove's filters say of texts, in an environment of its own: `datatrove_verdicts.py IN OUT`.

IN holds texts as JSON Lines (id, text). OUT gets a line a text: of each configuration the first reason (`keep`
where there is none, the error's name where a filter raises) and the text that the filters leave. The names and
orders are those of CONFIGURATIONS and PIPELINE in assets/filters/parity.py. The last line has the CPU seconds
that each configuration took, reading and writing left out.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)


def reason(document: Document, filters: list) -> str:
    for each in filters:
        try:
            said = each.filter(document)
        except Exception as error:
            return type(error).__name__
        if said is not True:
            return said[1] if isinstance(said, tuple) else "dropped"
    return "keep"


def main(source: Path, out: Path) -> None:
    configurations = {
        "gopher_quality": [GopherQualityFilter()],
        "gopher_repetition": [GopherRepetitionFilter()],
        "c4_quality": [C4QualityFilter()],
        "c4_quality_fineweb_setting": [C4QualityFilter(filter_no_terminal_punct=False)],
        "fineweb_quality": [FineWebQualityFilter()],
        "fineweb": [
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
        ],
    }
    for filters in configurations.values():
        reason(Document(text="The first call loads the tokenizer.", id="first"), filters)
    seconds = dict.fromkeys(configurations, 0.0)
    with gzip.open(source, "rt", encoding="utf-8") as texts, gzip.open(out, "wt", encoding="utf-8") as said:
        for line in texts:
            row = json.loads(line)
            verdicts = {}
            for name, filters in configurations.items():
                document = Document(text=row["text"], id=row["id"])
                started = time.process_time()
                verdict = reason(document, filters)
                seconds[name] += time.process_time() - started
                verdicts[name] = {"reason": verdict}
                if verdict == "keep" and document.text != row["text"]:
                    verdicts[name]["text"] = document.text
            said.write(json.dumps({"id": row["id"], **verdicts}) + "\n")
        said.write(json.dumps({"cpu_seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
