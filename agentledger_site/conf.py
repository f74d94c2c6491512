"""The configuration: the environment's AGENTLEDGER_* variables, read once at start into one frozen
`Config`.

A value that cannot be used raises `BadValue`, one line that names the variable, the value and what
is accepted.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import environ

from access.redaction import redact_url
from agentledger_site.parsers import Rejected
from agentledger_site.variables import PREFIX, Variables, variables
from capture.pricing import catalog
from capture.pricing.configured import PriceSources

VERSION = "0.1.0"


class BadValue(Exception):
    """A variable's value cannot be used: the message is one line for the operator."""

    def __init__(self, name: str, value: str, accepted: str) -> None:
        shown = redact_url(value)
        super().__init__(f"{name}={shown!r} is not accepted: expected {accepted}")


@dataclass(frozen=True, slots=True)
class Config(Variables):
    """The values of all variables, and the paths and addresses that follow from them."""

    # The fields that the operator has set: unset is not the same as set to the default.
    given: frozenset[str] = frozenset()

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, absolute; None when the database is PostgreSQL."""
        if not self.dsn.startswith("sqlite:///"):
            return None
        return Path.cwd() / self.dsn.removeprefix("sqlite:///")

    @property
    def database_url(self) -> str:
        """The DSN, which names the same SQLite file in whatever folder a command is started."""
        return f"sqlite:///{self.sqlite_path.resolve()}" if self.sqlite_path else self.dsn

    @property
    def spool_path(self) -> Path:
        if self.spool_dir is not None:
            return Path.cwd() / self.spool_dir
        parent = self.sqlite_path.parent if self.sqlite_path else Path.cwd()
        return parent / "agentledger-spool"

    @property
    def price_sources(self) -> PriceSources:
        file = Path.cwd() / self.pricing_file if self.pricing_file is not None else None
        return PriceSources(self.pricing, file, catalog.path_in(self.spool_path), self.premiums)

    @property
    def default_upstream_url(self) -> str | None:
        """The upstream of every request that names none. None where the operator set none: then
        each provider's calls go to that provider."""
        return self.upstream_url if self.is_given("upstream_url") else None

    def refuse_one_port(self) -> None:
        """Raises BadValue if pages and proxy are to have the same port."""
        if self.dashboard_port == self.port != 0:
            name = f"{PREFIX}DASHBOARD_PORT"
            raise BadValue(name, str(self.port), "another port than AGENTLEDGER_PORT")

    def is_given(self, field: str) -> bool:
        return field in self.given

    def values_by_variable(self) -> dict[str, object]:
        """Returns the values of the variables that the operator set, by full name."""
        return {
            PREFIX + field.metadata["name"]: getattr(self, field.name)
            for field in variables()
            if self.is_given(field.name)
        }


def read_config(environment: Mapping[str, str]) -> Config:
    """Returns the configuration that `environment` describes. Raises BadValue.

    An empty value counts as unset, as in the shell's `VAR= command`.
    """
    env = environ.Env()
    # django-environ reads a value that begins with a dollar sign as another variable's name;
    # a password may begin with one.
    env.ENVIRON = {name: value.replace("$", r"\$") for name, value in environment.items()}
    env.escape_proxy = True
    values: dict[str, Any] = {}
    given = set()
    for field in variables():
        name = PREFIX + field.metadata["name"]
        value: str = env.str(name, default="")
        if value:
            given.add(field.name)
        else:
            value = field.metadata["default"]
        try:
            values[field.name] = None if value is None else field.metadata["parse"](value)
        except Rejected as rejected:
            raise BadValue(name, value, str(rejected)) from None
    return Config(**values, given=frozenset(given))


def find_unknown_names(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Returns the AGENTLEDGER_… names that are no variables, each with the most similar variable or
    None."""
    known = [PREFIX + field.metadata["name"] for field in variables()]
    return {
        name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), None)
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    }


@cache
def config() -> Config:
    return read_config(os.environ)
