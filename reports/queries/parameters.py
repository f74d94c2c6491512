"""Query parameters, declared once and read strictly: what cannot be read is a 400 that says what is
accepted, and what nobody declared is refused by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.settings import api_settings

from access.request_checks import KEY_PARAMETER
from capture.models import FIELD_LENGTH

# Everybody may send these: the key, and the form in which the answer is to come.
KNOWN_EVERYWHERE = {KEY_PARAMETER, str(api_settings.URL_FORMAT_OVERRIDE)}
# Characters: as many as all names together, and no more than the line of a request has room for.
MOST_NAMES = 2000
# A `+` of an offset that was not percent-encoded is a space.
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
_HAS_TIME = re.compile(r"[T ]\d\d:?\d\d")


class Parameters(serializers.Serializer[Any]):
    """The query parameters of a view: subclass it with a field for each. A parameter without a
    value is taken as not given."""

    @classmethod
    def of(cls, request: Request) -> dict[str, Any]:
        """The values, by name. Raises ValidationError: `{name: [what is accepted]}`."""
        return cls.of_query(request.query_params)

    @classmethod
    def of_query(cls, given: QueryDict) -> dict[str, Any]:
        asked = cls(data=given)
        refuse_unknown(given, {*asked.fields, *KNOWN_EVERYWHERE})
        twice = [name for name, values in given.lists() if len(values) > 1]
        if twice:
            raise ValidationError({name: ["once, not several times"] for name in twice})
        asked.is_valid(raise_exception=True)
        values: dict[str, Any] = asked.validated_data
        return values

    @classmethod
    def none(cls, request: Request) -> None:
        """For views that take no parameters."""
        refuse_unknown(request.query_params, KNOWN_EVERYWHERE)


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(sorted(name for name in known if name not in KNOWN_EVERYWHERE)) or "none"
        raise ValidationError({name: [f"is not known here; known: {names}"] for name in unknown})


class _SaysWhatItAccepts:
    """Whatever is wrong with a value, the answer is what a good one looks like."""

    accepted: str

    def run_validation(self, data: Any = empty) -> Any:
        try:
            return super().run_validation(data)  # type: ignore[misc]
        except ValidationError:
            raise ValidationError([self.accepted]) from None


class Number(_SaysWhatItAccepts, serializers.IntegerField):
    def __init__(self, *, lowest: int, highest: int, **options: Any) -> None:
        super().__init__(required=False, min_value=lowest, max_value=highest, **options)
        self.accepted = f"a whole number from {lowest} to {highest}"

    def get_value(self, dictionary: Any) -> Any:
        return dictionary.get(self.field_name, empty)  # one without a value is no number

    def to_internal_value(self, data: Any) -> int:
        if not (data.isascii() and data.isdigit() and len(data) < 20):
            raise ValidationError
        return int(data)


class Text(_SaysWhatItAccepts, serializers.CharField):
    def __init__(self, *, longest: int = FIELD_LENGTH, **options: Any) -> None:
        super().__init__(required=False, max_length=longest, **options)
        self.accepted = f"text of at most {longest} characters"


class Choice(_SaysWhatItAccepts, serializers.ChoiceField):
    def __init__(self, choices: Collection[str], **options: Any) -> None:
        super().__init__(required=False, choices=list(choices), **options)
        self.accepted = f"one of {', '.join(choices)}"


class Flag(_SaysWhatItAccepts, serializers.BooleanField):
    accepted = "true or false"

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)

    def get_value(self, dictionary: Any) -> Any:
        return dictionary.get(self.field_name) or empty  # else not given is False


class Usd(_SaysWhatItAccepts, serializers.DecimalField):
    accepted = "a number of USD, 0 or more, e.g. 0.25"

    def __init__(self, **options: Any) -> None:
        super().__init__(
            required=False,
            max_digits=20,
            decimal_places=10,
            min_value=0,
            coerce_to_string=False,
            **options,
        )


class Time(_SaysWhatItAccepts, serializers.DateTimeField):
    """ISO 8601; without an offset UTC, a day is its beginning."""

    accepted = "a time as ISO 8601, e.g. 2026-04-03T12:00:00Z or 2026-04-03"

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)

    def to_internal_value(self, value: Any) -> datetime:
        text = str(value).strip()
        if _HAS_TIME.search(text):
            text = _LOST_PLUS.sub("+", text) if _is_lost_plus(text) else text
        try:
            time = datetime.fromisoformat(text)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError from None


def _is_lost_plus(text: str) -> bool:
    """Whether its last space comes after a time of day, and not before it."""
    return _HAS_TIME.search(text[: text.rindex(" ")]) is not None if " " in text else False


class Names(_SaysWhatItAccepts, serializers.CharField):
    """Comma-separated names out of `known`, all of them with a `-` or none: those that are wanted,
    or those that are not. The value is the set of those wanted."""

    def __init__(self, known: Collection[str], **options: Any) -> None:
        super().__init__(required=False, max_length=MOST_NAMES, **options)
        self.known = list(known)

    def run_validation(self, data: Any = empty) -> Any:
        if data is empty:
            return super().run_validation(data)
        names = [name.strip() for name in data.split(",")]
        bare = [name.removeprefix("-") for name in names]
        unknown = [name for name in bare if name not in self.known]
        if unknown:
            raise ValidationError(
                [f"{', '.join(map(repr, unknown))} not known; known: {', '.join(self.known)}"]
            )
        n_left_out = sum(name.startswith("-") for name in names)
        if n_left_out not in (0, len(names)):
            raise ValidationError(["names, or names with a - each, not both"])
        return set(self.known).difference(bare) if n_left_out else set(bare)
