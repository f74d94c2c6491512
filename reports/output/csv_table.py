"""CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework.renderers import BaseRenderer

# A spreadsheet may run a cell that begins with one of these as a formula; an apostrophe makes it
# text.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


class Table(list[Mapping[str, Any]]):
    """Rows with the names of their columns, which an empty table has too."""

    def __init__(self, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(rows)
        self.columns = list(columns)


def csv_text(table: Table) -> str:
    """Returns CSV (RFC 4180); unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([_cell(row[name]) for name in table.columns] for row in table)
    return text.getvalue()


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
