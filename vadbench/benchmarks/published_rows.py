"""The published numbers that belong to a row of a table, among those of the table's source or of the row's own."""

from __future__ import annotations

from vadbench.benchmarks.schema import PublishedSpec
from vadbench.records.published import PublishedNumber, published_numbers


def row_numbers(published: PublishedSpec, source: str, table: str) -> list[PublishedNumber]:
    """Return the published numbers of a row, in all columns.

    Args:
        published: entry of the row in the benchmark file.
        source: key of the paper, a benchmark's ``source``.
        table: id of the table.
    """
    return [
        n
        for n in row_candidates(published, source, table)
        if n.variant == published.variant
        and published.backbone in (None, n.backbone)
        and published.test_protocol in (None, n.test_protocol)
    ]


def row_candidates(published: PublishedSpec, source: str, table: str) -> list[PublishedNumber]:
    """Return the numbers under the key of a row where they are looked for, whatever was varied, read and tested."""
    place = (published.source, None) if published.source else (source, f"Table {table}")
    return [
        n
        for n in published_numbers()
        if (n.key, n.reported_in) == (published.key, place[0]) and place[1] in (None, n.table)
    ]
