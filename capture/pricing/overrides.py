"""The operator's own prices, from AGENTLEDGER_PRICING and AGENTLEDGER_PRICING_FILE. docs/pricing.md
describes their form."""

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


def _video(**kinds: str) -> Dimensions:
    return _dimensions(family="durations", modality="video", direction="output", **kinds)


# The keys of the form: the unit, the number of units that the price is for, and its dimensions.
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
    "per_image": ("images", 1, _dimensions(family="images", direction="output")),
    "per_video_second": ("video_seconds", 1, _video()),
    "per_video_second_1080p": ("video_1080p_seconds", 1, _video(resolution="1080p")),
    "per_video_second_4k": ("video_4k_seconds", 1, _video(resolution="4k")),
    "per_request": ("requests", 1, _dimensions(family="requests")),
}
# At least one of these is needed to price a call.
_BASES = (
    *("input", "characters", "per_audio_minute", "per_image", "per_video_second", "per_request"),
)
_IN_TIERS = tuple(key for key, (_, _, kinds) in _KEYS.items() if ("family", "tokens") in kinds)
_A_PRICE = "a number from 0 to 1,000,000, in USD"

OperatorPrice = tuple[UnitPrice, ...]


def read_operator_prices(text: str, source: str) -> dict[str, OperatorPrice]:
    """Returns the prices in `text` by model name or glob, in lower case. Raises ValueError: one
    sentence that begins with `source`, the name of a variable or file, and says what is wrong and
    what is accepted.
    """
    try:
        models = json.loads(
            text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_unique
        )
    except _Twice as twice:
        raise ValueError(f"{source} names {twice} twice: each name can be given once") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{source} is not JSON ({error}): expected an object of model names and prices,"
            ' e.g. {"my-model": [1.00, 2.00]}'
        ) from None
    if not isinstance(models, dict):
        raise ValueError(
            f"{source} is {_kind(models)}: expected an object of model names and prices,"
            ' e.g. {"my-model": [1.00, 2.00]}'
        )
    prices: dict[str, OperatorPrice] = {}
    for name, value in models.items():
        key = name.strip().lower()
        if not key:
            raise ValueError(f"{source} has a price without a name: expected a model's name, or *")
        if key in prices:
            raise ValueError(f"{source} names {name!r} twice: case is ignored")
        prices[key] = read_price(value, f"{source}: the price of {name!r}")
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
    raise ValueError(f"{word} is not a number")


def _kind(value: JSON) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a number"


def read_price(value: JSON, what: str) -> OperatorPrice:
    """Returns the price of one model. Raises ValueError: one sentence that begins with `what`."""
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError(
                f"{what} has {len(value)} numbers: a list is [input, output], in USD per million"
            )
        value = {"input": value[0], "output": value[1]}
    if not isinstance(value, dict):
        raise ValueError(
            f"{what} is {_kind(value)}: expected [input, output] or an object such as"
            ' {"input": 1, "output": 2}'
        )
    accepted = (*_KEYS, "tiers")
    for key in value:
        if key not in accepted:
            raise ValueError(f"{what} has {key!r}: expected {', '.join(accepted)}")
    if not any(key in value for key in _BASES):
        raise ValueError(f"{what} lacks a base price: expected at least one of {', '.join(_BASES)}")
    tiers = _tiers(value.get("tiers", []), what)
    for _, above in tiers:
        for key in above:
            if key not in value:
                raise ValueError(f"{what} has {key!r} in a tier only: it needs a base price too")
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
    """Returns tiers by boundary, the highest first. Each must have all prices that any of them
    names, or a higher tier would silently undo a lower one."""
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
                    f"{what} has {key!r} in a tier: expected above, {', '.join(_IN_TIERS)}"
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
class Override:
    """The operator's price for a call, and the name or glob that it was given for."""

    pattern: str
    price: OperatorPrice


class OperatorPrices:
    """The operator's prices by name. Exact names come before globs, and globs with more letters
    before others; the requested model comes before the one that responded. Case is ignored."""

    def __init__(self, prices: dict[str, OperatorPrice]) -> None:
        self._exact = prices
        globs = [name for name in prices if any(c in name for c in "*?[")]
        self._globs = sorted(globs, key=lambda glob: -sum(c not in "*?[]" for c in glob))

    def __bool__(self) -> bool:
        return bool(self._exact)

    def find(self, requested_model: str | None, response_model: str | None) -> Override | None:
        names = [name.strip().lower() for name in (requested_model, response_model) if name]
        for name in names:
            if name in self._exact:
                return Override(name, self._exact[name])
        for name in names:
            for glob in self._globs:
                if fnmatchcase(name, glob):
                    return Override(glob, self._exact[glob])
        return None
