"""Published prices as data: those that came with the installed genai-prices, or newer ones that the
operator has put in their place (`manage.py prices --update`).

The newer ones are a file in the spool's folder, on the disk of the processes that price calls: they
are there even while the database is unavailable. The file was checked before it was stored.

genai_prices is imported inside functions for the sake of start-up time, as in `published`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from capture.wire.types import JSON

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

logger = logging.getLogger("agentledger.prices")

FILE_NAME = "published-prices.json"
MAX_BYTES = 32 * 1024 * 1024  # the data of 2,300 models is 2 MB
MAX_USD = 10**9  # nothing that is sold by the million costs as much

FileVersion = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PriceData:
    source: str  # with its version: the `price_source` of calls
    providers: list[Provider]

    @property
    def n_models(self) -> int:
        return sum(len(provider.models) for provider in self.providers)


def path_in(folder: Path) -> Path:
    return folder / FILE_NAME


def file_version(path: Path) -> FileVersion | None:
    """Returns a value that changes when the file is replaced; None: there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def load_prices(path: Path | None) -> PriceData:
    """Returns the data in the file or, where there is none, that of the library. A file that cannot
    be used (after another version was installed, say) is passed over with a warning."""
    if path is None or file_version(path) is None:
        return built_in_prices()
    try:
        return parse_prices(path.read_bytes())
    except (OSError, ValueError) as error:
        logger.warning("%s is not used, but the prices of %s: %s", path, library_version(), error)
        return built_in_prices()


def library_version() -> str:
    from genai_prices import __version__

    return f"genai-prices@{__version__}"


def built_in_prices() -> PriceData:
    from genai_prices.data import providers

    return PriceData(library_version(), providers)


def parse_prices(data: bytes) -> PriceData:
    """Parses the JSON that the maintainers publish: a list of providers. Raises ValueError, one
    sentence, unless all of it can be used."""
    # Private, but the library has no other parser of its own form; test_price_update.py would fail.
    from genai_prices.types import _providers_from_raw
    from pydantic import ValidationError

    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(raw, list):
        raise ValueError("it is not a list of providers, as genai-prices publishes it")
    try:
        providers = _providers_from_raw(raw)
        _check(providers, raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"its shape is not that of genai-prices: {first['msg']} at {where}"
        ) from None
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its shape is not that of genai-prices: {error}") from None
    digest = hashlib.sha256(data).hexdigest()[:12]
    return PriceData(f"{library_version()}+{digest}", providers)


def write_prices(path: Path, data: bytes) -> None:
    """Replaces the file, or leaves it as it was. `data` has been checked by `parse_prices`."""
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


# --- checks beyond the library's own schema -------------------------------------------------------


def _check(providers: list[Provider], raw: JSON) -> None:
    for regex in _regexes(raw):
        try:
            re.compile(regex)
        except re.error as error:
            raise ValueError(f"its pattern {regex!r} is not valid: {error}") from None
    ids = [provider.id for provider in providers]
    if len(set(ids)) < len(ids):
        raise ValueError("it has the same provider twice")
    n_prices = 0
    for provider in providers:
        for model in provider.models:
            if model.prices == []:
                raise ValueError(f"{provider.id}'s {model.id} has an empty list of prices")
            for price in _usd_of(model):
                n_prices += 1
                if not 0 <= price < MAX_USD:
                    raise ValueError(f"{provider.id}'s price of {model.id} is not valid: {price}")
    if not n_prices:
        raise ValueError("it has no prices")


def _regexes(raw: JSON) -> Iterator[str]:
    if isinstance(raw, list):
        for item in raw:
            yield from _regexes(item)
    elif isinstance(raw, dict):
        for key, value in raw.items():
            if key == "regex" and isinstance(value, str):
                yield value
            else:
                yield from _regexes(value)


def _usd_of(model: ModelInfo) -> Iterator[Decimal]:
    from genai_prices.types import TieredPrices

    for prices in _price_lists(model):
        for value in prices.__dict__.values():
            if isinstance(value, TieredPrices):
                yield value.base
                yield from (tier.price for tier in value.tiers)
            elif isinstance(value, Decimal):
                yield value


def _price_lists(model: ModelInfo) -> Iterator[ModelPrice]:
    if isinstance(model.prices, list):
        yield from (price.prices for price in model.prices)
    else:
        yield model.prices
    yield from (variant.prices for variant in model.price_variants or ())
