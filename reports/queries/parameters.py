"""Query parameters, declared once as the filters of a FilterSet and read strictly: a value that
cannot be read is refused with what is accepted, and an unknown parameter by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django_filters import Filter, FilterSet
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.settings import api_settings

from access.request_checks import KEY_PARAMETER
from capture.models import FIELD_LENGTH, Call

# Every request may have these: the key, and the format of the response.
KNOWN_EVERYWHERE = {KEY_PARAMETER, str(api_settings.URL_FORMAT_OVERRIDE)}
# As many characters as all names together, and no more than a request line has room for.
MAX_NAMES_LENGTH = 2000
# A `+` of an offset that was not percent-encoded is a space.
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
_HAS_TIME = re.compile(r"[T ]\d\d:?\d\d")
_TRUE, _FALSE = (frozenset(words.split()) for words in ("1 true t yes y on", "0 false f no n off"))
_USD = forms.DecimalField(max_digits=20, decimal_places=10, min_value=0)

# To make a form class for each request takes longer than to read the parameters.
_form_classes: dict[type[Parameters], type[forms.Form]] = {}


class Parameters(FilterSet):  # type: ignore[misc]  # django-filter has no types
    """The query parameters of a view, a filter for each. A parameter without a value counts as not
    given, except for numbers."""

    def __init__(
        self, data: QueryDict, queryset: QuerySet[Any] | None = None, **options: Any
    ) -> None:
        # Views without a queryset read the values alone.
        super().__init__(data, Call.objects.none() if queryset is None else queryset, **options)

    @classmethod
    def parse(cls, given: QueryDict) -> dict[str, Any]:
        """Returns the values by name, without those that are not given. Raises ValidationError:
        `{name: [what is accepted]}`."""
        return cls(given).values

    @classmethod
    def names(cls) -> Collection[str]:
        return cls.base_filters.keys()  # type: ignore[no-any-return]  # django-filter has no types

    @classmethod
    def condition(cls, values: Mapping[str, Any]) -> Q:
        """Returns the condition that the lookups of these values make."""
        lookups = {name: parameter.lookup for name, parameter in cls.base_filters.items()}
        return Q(**{lookups[name]: value for name, value in values.items() if lookups[name]})

    def get_form_class(self) -> type[forms.Form]:
        cls = type(self)
        if cls not in _form_classes:
            fields = {name: parameter.field for name, parameter in cls.base_filters.items()}
            _form_classes[cls] = type(f"{cls.__name__}Form", (forms.Form,), fields)
        return _form_classes[cls]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The values by name, without those that are not given. Raises ValidationError."""
        refuse_unknown(self.data, {*self.filters, *KNOWN_EVERYWHERE})
        repeated = [name for name, values in self.data.lists() if len(values) > 1]
        if repeated:
            raise ValidationError({name: ["only once, not several times"] for name in repeated})
        if self.errors:
            raise ValidationError({name: list(errors) for name, errors in self.errors.items()})
        given = {name: v for name, v in self.form.cleaned_data.items() if v is not None}
        return self.validate(given)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Checks parameters that depend on one another. Raises ValidationError."""
        return values

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for name, value in self.values.items():
            queryset = self.filters[name].filter(queryset, value)
        return queryset


class NoParameters(Parameters):
    """The parameters of a view that takes none."""


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """Raises ValidationError for names that are not known."""
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(sorted(name for name in known if name not in KNOWN_EVERYWHERE)) or "none"
        raise ValidationError(
            {name: [f"is not a parameter here; known: {names}"] for name in unknown}
        )


class ParameterField(forms.Field):
    """The form field of a parameter, which cleans text as the parameter does."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(required=False, help_text=parameter.extra["help_text"])
        self.parameter = parameter

    def clean(self, value: Any) -> Any:
        return self.parameter.clean(value)


class Parameter(Filter):  # type: ignore[misc]  # django-filter has no types
    """A query parameter. With `lookup` it filters a queryset by that lookup; without, the view uses
    its value."""

    accepted = ""  # the error for a value that cannot be read
    schema: Mapping[str, Any] = {"type": "string"}
    skips_empty = True  # an empty value counts as not given
    choices: Collection[str] = ()

    def __init__(
        self,
        *,
        lookup: str | None = None,
        default: Any = None,
        required: bool = False,
        help_text: str = "",
    ) -> None:
        super().__init__(required=required, help_text=help_text)
        self.lookup = lookup
        self.default = default
        schema = {**self.schema, "description": help_text}
        if default is not None:
            schema["default"] = default
        extend_schema_field(schema)(self)

    def __deepcopy__(self, memo: Any) -> Parameter:
        """Copies the parameter for one FilterSet, which sets its parent: all else is shared."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    @cached_property
    def field(self) -> ParameterField:
        return ParameterField(self)

    def clean(self, text: str | None) -> Any:
        """Returns the value, or the default for none (None: not given)."""
        if text is None or (text == "" and self.skips_empty):
            if self.extra["required"]:
                raise forms.ValidationError(self.accepted)
            return self.default
        try:
            return self.parse(text)
        except ValueError:
            raise forms.ValidationError(self.accepted) from None

    def parse(self, text: str) -> Any:
        """Returns the value. Raises ValueError, or a forms.ValidationError that says more than
        `accepted`."""
        raise NotImplementedError

    def filter(self, queryset: QuerySet[Any], value: Any) -> QuerySet[Any]:
        return queryset if self.lookup is None else queryset.filter(**{self.lookup: value})


class NumberParameter(Parameter):
    skips_empty = False

    def __init__(self, *, lowest: int, highest: int, **options: Any) -> None:
        self.lowest, self.highest = lowest, highest
        self.accepted = f"a whole number from {lowest} to {highest}"
        self.schema = {"type": "integer", "minimum": lowest, "maximum": highest}
        super().__init__(**options)

    def parse(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ValueError
        number = int(text)
        if not self.lowest <= number <= self.highest:
            raise ValueError
        return number


class TextParameter(Parameter):
    def __init__(self, *, longest: int = FIELD_LENGTH, **options: Any) -> None:
        self.longest = longest
        self.accepted = f"text of at most {longest} characters"
        self.schema = {"type": "string", "maxLength": longest}
        super().__init__(**options)

    def parse(self, text: str) -> str:
        text = text.strip()
        # PostgreSQL stores no NUL, and no database a lone surrogate.
        if not text or len(text) > self.longest or "\0" in text or not text.encode():
            raise ValueError
        return text


class ChoiceParameter(Parameter):
    def __init__(self, choices: Collection[str], **options: Any) -> None:
        self.choices = list(choices)
        self.accepted = f"one of {', '.join(choices)}"
        self.schema = {"type": "string", "enum": self.choices}
        super().__init__(**options)

    def parse(self, text: str) -> str:
        if text not in self.choices:
            raise ValueError
        return text


class FlagParameter(Parameter):
    accepted = "true or false"
    schema: Mapping[str, Any] = {"type": "boolean"}

    def parse(self, text: str) -> bool:
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            raise ValueError
        return word in _TRUE


class UsdParameter(Parameter):
    accepted = "a number of USD, 0 or more, e.g. 0.25"
    schema: Mapping[str, Any] = {"type": "number", "minimum": 0}

    def parse(self, text: str) -> Decimal:
        try:
            amount: Decimal | None = _USD.clean(text)
        except forms.ValidationError:
            amount = None
        if amount is None:
            raise ValueError
        return amount


class UuidParameter(Parameter):
    accepted = "a UUID"
    schema: Mapping[str, Any] = {"type": "string", "format": "uuid"}

    def parse(self, text: str) -> UUID:
        return UUID(text)


class TimeParameter(Parameter):
    """A time as ISO 8601; without an offset it is UTC, and a day is its beginning."""

    accepted = "a time as ISO 8601, e.g. 2026-04-03T12:00:00Z or 2026-04-03"
    schema: Mapping[str, Any] = {"type": "string", "format": "date-time"}

    def parse(self, text: str) -> datetime:
        time = parse_time(text)
        try:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except OverflowError:
            raise ValueError from None


def parse_time(text: str) -> datetime:
    """Returns the time, without a zone where the text has no offset. Raises ValueError."""
    text = text.strip()
    if _HAS_TIME.search(text) and _has_lost_plus(text):
        text = _LOST_PLUS.sub("+", text)
    return datetime.fromisoformat(text)


def _has_lost_plus(text: str) -> bool:
    """Returns whether the last space comes after a time of day and not before it."""
    return _HAS_TIME.search(text[: text.rindex(" ")]) is not None if " " in text else False


class NamesParameter(Parameter):
    """Comma-separated names out of `known`: either those to include, or each with a `-` those to
    leave out. The value is the set of included names."""

    def __init__(self, known: Collection[str], **options: Any) -> None:
        self.known = list(known)
        self.accepted = f"names from the list {', '.join(known)}"
        self.schema = {"type": "string", "maxLength": MAX_NAMES_LENGTH}
        super().__init__(**options)

    def parse(self, text: str) -> set[str]:
        names = [name.strip() for name in text.split(",")]
        bare = [name.removeprefix("-") for name in names]
        unknown = [name for name in bare if name not in self.known]
        if unknown:
            quoted = ", ".join(map(repr, unknown))
            raise forms.ValidationError(f"{quoted} not known; known: {', '.join(self.known)}")
        n_left_out = sum(name.startswith("-") for name in names)
        if n_left_out not in (0, len(names)):
            raise forms.ValidationError("either names, or names with a leading - each, not both")
        return set(self.known).difference(bare) if n_left_out else set(bare)
