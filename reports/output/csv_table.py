"""CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework.renderers import BaseRenderer

# A spreadsheet may run a cell that begins with one of these as a formula; an apostrophe makes it
# text.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")

CHUNK = 256 * 1024


class Table(list[Mapping[str, Any]]):
    """Rows with the names of their columns, which an empty table has too."""

    def __init__(self, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(rows)
        self.columns = list(columns)


def csv_text(table: Table) -> str:
    """Returns CSV (RFC 4180); unknown values are empty."""
    return "".join(csv_chunks(table.columns, table))


def csv_chunks(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yields CSV of rows as they come, in chunks of about `CHUNK` characters."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
        if text.tell() >= CHUNK:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _cell(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return value
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA_BEGINS) else text


class CSVRenderer(BaseRenderer):
    """Renders a Table as CSV, and anything else, such as an error, as its text."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        return csv_text(data) if isinstance(data, Table) else str(data)
