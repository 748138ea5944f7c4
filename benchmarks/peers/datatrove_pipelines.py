"""datatrove's pipelines over JSONL files, in an environment of its own: `FILE PIPELINE IN OUT [MODEL]`.

    rules        Gopher repetition, Gopher quality, C4 and FineWeb quality, with FineWeb's settings
    language     the language filter (FastText, English) alone
    signatures   MinHash signatures, 5-grams, 14 x 8
    dedup        the whole near-duplicate job: signatures, buckets, clusters, filter

Documents in are one JSONL.gz file in the folder IN; what is kept and what is dropped, with its reason, go to
Parquet below OUT. MODEL is the language model's file, so that nothing is downloaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils import lid
from datatrove.utils.hashing import HashConfig


def run(steps: list[object], out: str, name: str) -> None:
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=f"{out}/logs/{name}").run()


def main(pipeline: str, source: str, out: str, model: str | None = None) -> None:
    reader = JsonlReader(source)

    def dropped(name: str) -> ParquetWriter:
        return ParquetWriter(f"{out}/dropped/{name}")

    if pipeline == "rules":
        filters = [
            GopherRepetitionFilter(exclusion_writer=dropped("gopher_repetition")),
            GopherQualityFilter(exclusion_writer=dropped("gopher_quality")),
            C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=dropped("c4")),
            FineWebQualityFilter(exclusion_writer=dropped("fineweb")),
        ]
        run([reader, *filters, ParquetWriter(f"{out}/kept")], out, "rules")
    elif pipeline == "language":
        language = LanguageFilter("en", exclusion_writer=dropped("language"))
        # The model is at hand; without this datatrove would download one.
        lid.cached_asset_path_or_download = lambda *_, **__: model
        run([reader, language, ParquetWriter(f"{out}/kept")], out, "language")
    elif pipeline in ("signatures", "dedup"):
        config = MinhashConfig(
            hash_config=HashConfig(precision=64), n_grams=5, num_buckets=14, hashes_per_bucket=8
        )
        signatures = MinhashDedupSignature(f"{out}/signatures", config=config, language="eng")
        run([reader, signatures], out, "signatures")
        if pipeline == "dedup":
            buckets = MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)
            LocalPipelineExecutor([buckets], tasks=14, workers=1, logging_dir=f"{out}/logs/buckets").run()
            run([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)], out, "cluster")
            keep = MinhashDedupFilter(f"{out}/remove", exclusion_writer=dropped("minhash"))
            run([reader, keep, ParquetWriter(f"{out}/kept")], out, "filter")
    else:
        raise SystemExit(f"no pipeline {pipeline!r}")


if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    main(*sys.argv[1:])
