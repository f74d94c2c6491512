"""The operator's own prices: AGENTLEDGER_PRICING and AGENTLEDGER_PRICING_FILE. docs/pricing.md
describes the form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NoReturn

from capture.pricing.cost import Dimensions, UnitPrice
from capture.wire.types import JSON

MAX_USD = 1_000_000


def _dimensions(**kinds: str) -> Dimensions:
    return frozenset(kinds.items())


def _tokens(direction: str, **kinds: str) -> Dimensions:
    return _dimensions(family="tokens", direction=direction, **kinds)


# What the form calls it: the unit, how many of them the price is for, and what tells it apart.
_KEYS: dict[str, tuple[str, int, Dimensions]] = {
    "input": ("input_tokens", 10**6, _tokens("input")),
    "output": ("output_tokens", 10**6, _tokens("output")),
    "cache_read": ("cache_read_tokens", 10**6, _tokens("input", token_type="cache_read")),
    "cache_write": ("cache_write_tokens", 10**6, _tokens("input", token_type="cache_write")),
    "cache_write_1h": (
        "cache_write_1h_tokens",
        10**6,
        _tokens("input", token_type="cache_write", cache_ttl="1h"),
    ),
    "audio_in": ("input_audio_tokens", 10**6, _tokens("input", modality="audio")),
    "audio_out": ("output_audio_tokens", 10**6, _tokens("output", modality="audio")),
    "image_in": ("input_image_tokens", 10**6, _tokens("input", modality="image")),
    "image_out": ("output_image_tokens", 10**6, _tokens("output", modality="image")),
    "reasoning": ("output_reasoning_tokens", 10**6, _tokens("output", token_type="reasoning")),
    "characters": (
        "input_characters",
        10**6,
        _dimensions(family="characters", direction="input"),
    ),
    "per_audio_minute": (
        "audio_seconds",
        60,
        _dimensions(family="durations", modality="audio"),
    ),
    "per_web_search": (
        "web_searches",
        1,
        _dimensions(family="tool_calls", tool_type="web_search"),
    ),
    "per_request": ("requests", 1, _dimensions(family="requests")),
}
# Without one of these there is nothing to price a call by.
_BASES = ("input", "characters", "per_audio_minute", "per_request")
_IN_TIERS = tuple(key for key, (_, _, kinds) in _KEYS.items() if ("family", "tokens") in kinds)
_A_PRICE = "a number from 0 to 1,000,000, in USD"

OperatorPrice = tuple[UnitPrice, ...]


def read_operator_prices(text: str, source: str) -> dict[str, OperatorPrice]:
    """The prices in `text`, by model name or glob in lower case. `source`, the name of a variable
    or file, begins the sentence of the ValueError that says what is wrong and what is accepted.

    Merged as `inline | from_file`: where both name a model, the file wins.
    """
    try:
        models = json.loads(
            text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_unique
        )
    except _Twice as twice:
        raise ValueError(f"{source} names {twice} twice: each name can be given once") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{source} is not JSON ({error}): it takes an object of model names and prices,"
            ' e.g. {"my-model": [1.00, 2.00]}'
        ) from None
    if not isinstance(models, dict):
        raise ValueError(
            f"{source} is {_kind(models)}: it takes an object of model names and prices,"
            ' e.g. {"my-model": [1.00, 2.00]}'
        )
    prices: dict[str, OperatorPrice] = {}
    for name, value in models.items():
        key = name.strip().lower()
        if not key:
            raise ValueError(f"{source} has a price without a name: it takes a model's name, or *")
        if key in prices:
            raise ValueError(
                f"{source} names {name!r} twice: names in capitals and small letters are the same"
            )
        prices[key] = _price(value, f"{source}: the price of {name!r}")
    return prices


class _Twice(Exception):
    pass


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _kind(value: JSON) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a number"


def _price(value: JSON, what: str) -> OperatorPrice:
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError(
                f"{what} has {len(value)} numbers: a list is [input, output], in USD per million"
            )
        value = {"input": value[0], "output": value[1]}
    if not isinstance(value, dict):
        raise ValueError(
            f"{what} is {_kind(value)}: it takes [input, output] or an object such as"
            ' {"input": 1, "output": 2}'
        )
    accepted = (*_KEYS, "tiers")
    for key in value:
        if key not in accepted:
            raise ValueError(f"{what} has {key!r}: it takes {', '.join(accepted)}")
    if not any(key in value for key in _BASES):
        raise ValueError(f"{what} lacks a basis: it takes at least one of {', '.join(_BASES)}")
    tiers = _tiers(value.get("tiers", []), what)
    for _, above in tiers:
        for key in above:
            if key not in value:
                raise ValueError(f"{what} has {key!r} in a tier only: it takes one beside too")
    return tuple(
        UnitPrice(
            unit,
            _usd(value[key], f"{what}, {key!r},"),
            per,
            dimensions,
            tuple((start, above[key]) for start, above in tiers)
            if any(key in above for _, above in tiers)
            else (),
        )
        for key, (unit, per, dimensions) in _KEYS.items()
        if key in value
    )


def _tiers(value: JSON, what: str) -> list[tuple[int, dict[str, Decimal]]]:
    """Highest boundary first; each with all prices that any lower one names, or it would end
    what the lower one began."""
    form = 'tiers are a list such as [{"above": 200000, "input": 2, "output": 4}]'
    if not isinstance(value, list):
        raise ValueError(f"{what} has {_kind(value)} for tiers: {form}")
    tiers: dict[int, dict[str, Decimal]] = {}
    for tier in value:
        if not isinstance(tier, dict):
            raise ValueError(f"{what} has {_kind(tier)} as a tier: {form}")
        above = tier.get("above")
        if type(above) is not int or above < 1:
            raise ValueError(
                f"{what} has a tier without a boundary: `above` is a number of input tokens from 1"
            )
        if above in tiers:
            raise ValueError(f"{what} has two tiers above {above}: each boundary counts once")
        for key in tier:
            if key != "above" and key not in _IN_TIERS:
                raise ValueError(
                    f"{what} has {key!r} in a tier: it takes above, {', '.join(_IN_TIERS)}"
                )
        tiers[above] = {
            key: _usd(usd, f"{what}, {key!r} above {above},")
            for key, usd in tier.items()
            if key != "above"
        }
    named = sorted({key for tier in tiers.values() for key in tier})
    for above, tier in tiers.items():
        for key in named:
            if key not in tier:
                raise ValueError(
                    f"{what} has no {key!r} above {above}: a price that one tier names,"
                    " all tiers name"
                )
    return sorted(tiers.items(), reverse=True)


def _usd(value: JSON, what: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{what} is {_kind(value)}: prices are {_A_PRICE}")
    if value < 0:
        raise ValueError(f"{what} is negative ({value}): prices are {_A_PRICE}")
    if value > MAX_USD:
        raise ValueError(f"{what} is too high: prices are {_A_PRICE}")
    usd = Decimal(value)
    exponent = usd.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -12:
        raise ValueError(f"{what} has more than 12 decimals: prices are {_A_PRICE}")
    return usd


@dataclass(frozen=True, slots=True)
class Named:
    """The operator's price that counts for a call, and the name or glob it stands under."""

    pattern: str
    price: OperatorPrice


class OperatorPrices:
    """Prices by name. Exact names count before globs, of those the one with most letters; the
    model that was asked for before the one that answered. Capitals do not count."""

    def __init__(self, prices: dict[str, OperatorPrice]) -> None:
        self._exact = prices
        globs = [name for name in prices if any(c in name for c in "*?[")]
        self._globs = sorted(globs, key=lambda glob: -sum(c not in "*?[]" for c in glob))

    def __bool__(self) -> bool:
        return bool(self._exact)

    def find(self, parsed_request: str | None, parsed_response: str | None) -> Named | None:
        names = [name.strip().lower() for name in (parsed_request, parsed_response) if name]
        for name in names:
            if name in self._exact:
                return Named(name, self._exact[name])
        for name in names:
            for glob in self._globs:
                if fnmatchcase(name, glob):
                    return Named(glob, self._exact[glob])
        return None
