"""Tables that wait on disk instead of in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa


class Spool:
    """A file that tables of one schema are written to, and then read back from.

    It is mapped, not loaded: texts take pages of the file, which the system can do without again.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self.schema = path, schema
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, schema)

    def write(self, table: pa.Table) -> None:
        """Adds a table, as one batch."""
        self._writer.write_table(table.combine_chunks())

    def read(self) -> pa.Table:
        """All that was written; nothing can be written any more. The file must stay while the table is used."""
        if not self._file.closed:
            self._writer.close()
            self._file.close()
        with pa.memory_map(str(self._path)) as file:
            return pa.ipc.open_file(file).read_all()

    def __iter__(self) -> Iterator[pa.Table]:
        """All that was written, some at a time."""
        for batch in self.read().to_batches():
            yield pa.Table.from_batches([batch], self.schema)
