"""Which upstream columns each column of a query is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot.lineage import Node

# A column: its table, as `schema.name`, and its name.
Column = tuple[str, str]


def column_lineage(sql: str, tables: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[Column, ...]]:
    """For each column of a SELECT the columns of tables that its values come from, sorted.

    A column made of constants or of a count of rows comes from none. What only filters, joins or orders
    rows is no part of it.

    Args:
        sql: In DuckDB's dialect; tables are named `lake.schema.name`.
        tables: Each table's column types by column, by `schema.name`; it tells what a `*` stands for.

    Raises:
        sqlglot.errors.SqlglotError: The query can't be parsed, or has a column without a name.
    """
    from sqlglot import MappingSchema
    from sqlglot.lineage import lineage

    known = MappingSchema(dialect="duckdb")
    for table, columns in tables.items():
        known.add_table(f"lake.{table}", dict(columns), dialect="duckdb")
    # All columns in one call: they share what was resolved on the way. One by one, wide unions take minutes.
    nodes = lineage(None, sql, known, dialect="duckdb", trim_selects=False)
    return {name: tuple(sorted(set(_origins(node)))) for name, node in nodes.items()}


def _origins(column: Node) -> Iterator[Column]:
    from sqlglot import exp

    seen: set[int] = set()
    waiting = [column]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += node.downstream
        table = node.expression
        if not node.downstream and isinstance(table, exp.Table):
            yield f"{table.db}.{table.name}", exp.to_column(node.name).name
