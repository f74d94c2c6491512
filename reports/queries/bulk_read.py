"""Reads many rows at once. Django puts a statement together anew each time, prepares each key and
converts each value through its field: measured at 24 µs a call of 65 columns, this at 10."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, models

from capture.ledger.bulk_sql import Row, chunks, quote_name

Column = tuple[type[models.Model], str]
"""A table's, by attribute name: `session_id` for the foreign key `session`."""

_decode = msgspec.json.Decoder().decode


def fetched(
    tables: str, columns: Mapping[str, Column], key: Column, keys: Iterable[Any]
) -> list[Row]:
    """The rows where `key` is one of `keys`, in no order, their values named as `columns` says."""
    selected = ", ".join(_in_sql(*column) for column in columns.values())
    statement = f"SELECT {selected} FROM {tables} WHERE {_in_sql(*key)}"
    found: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for some in chunks(_prepared(key, keys)):
            if connection.vendor == "postgresql":  # one array costs less than 500 parameters
                cursor.execute(f"{statement} = ANY(%s)", [list(some)])
            else:
                cursor.execute(f"{statement} IN ({', '.join(['%s'] * len(some))})", some)
            found += cursor.fetchall()
    if not found:
        return []
    by_column = [
        _converted(values, _converter(*column, connection.vendor))
        for column, values in zip(columns.values(), zip(*found, strict=True), strict=True)
    ]
    return [dict(zip(columns, values, strict=True)) for values in zip(*by_column, strict=True)]


def _prepared(key: Column, keys: Iterable[Any]) -> list[Any]:
    if connection.vendor == "sqlite":  # its UUIDs are text
        return [one.hex if isinstance(one, UUID) else one for one in keys]
    return list(keys)


def _converted(values: Sequence[Any], convert: Callable[[Any], Any] | None) -> Sequence[Any]:
    if convert is None or values.count(None) == len(values):
        return values
    return [None if value is None else convert(value) for value in values]


def columns_of(model: type[models.Model]) -> dict[str, Column]:
    return {field.attname: (model, field.attname) for field in model._meta.concrete_fields}


def table(model: type[models.Model]) -> str:
    return quote_name(model._meta.db_table)


@cache
def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    return next(field for field in model._meta.concrete_fields if field.attname == name)


@cache
def _in_sql(model: type[models.Model], name: str) -> str:
    return f"{table(model)}.{quote_name(str(_field(model, name).column))}"


@cache
def _converter(model: type[models.Model], name: str, vendor: str) -> Callable[[Any], Any] | None:
    """How what the database's driver gives becomes the value; None: it is the value."""
    field = _field(model, name)
    column = field.get_col(table(model))
    if isinstance(field, models.JSONField):
        return _json
    if vendor == "sqlite" and isinstance(column.output_field, models.UUIDField):
        return UUID
    converters = [
        *connection.ops.get_db_converters(column),
        *column.get_db_converters(connection),
    ]
    if not converters:
        return None

    def convert(value: Any) -> Any:
        for converter in converters:
            value = converter(value, column, connection)
        return value

    return convert


def _json(text: str) -> Any:
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return json.loads(text)
