"""Every AGENTLEDGER_* variable: its name, default, meaning, and what values it takes.

Read once, at start, into one frozen `Config`. A bad value raises `BadValue`, one line that names
the variable, the value and what is accepted; a name that we do not know is warned about.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import environ

from access.redaction import redact_url
from access.request_checks import Network
from capture.pricing import catalog
from capture.pricing.configured import PriceSources

VERSION = "0.1.0"
PREFIX = "AGENTLEDGER_"


class BadValue(Exception):
    """A variable's value cannot be used: the message is one line for the operator."""

    def __init__(self, name: str, value: str, accepted: str) -> None:
        shown = redact_url(value)
        super().__init__(f"{name}={shown!r} is not accepted: it takes {accepted}")


class Rejected(ValueError):
    """Raised by parsers: what would have been accepted."""


# --- parsers: text from the environment to a value ------------------------------------------------


def text(value: str) -> str:
    return value


def http_url(value: str) -> str:
    try:
        url = urlsplit(value)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    # Whatever is before an @, be it a password without a user: it would be stored and shown.
    beside = usable and ("@" in url.netloc or url.fragment)
    if not usable or beside or any(c.isspace() for c in value):
        raise Rejected("an http:// or https:// URL without user, fragment or spaces")
    return value.rstrip("/")


def named_urls(value: str) -> Mapping[str, str]:
    accepted = 'a JSON object of names (a-z, 0-9, _ and -) and URLs, e.g. {"groq": "https://…"}'
    try:
        urls = json.loads(value)
    except ValueError:
        raise Rejected(accepted) from None
    if not isinstance(urls, dict):
        raise Rejected(accepted)
    for name, url in urls.items():
        if not re.fullmatch(r"[a-z0-9_-]{1,60}", name) or not isinstance(url, str):
            raise Rejected(accepted)
    return MappingProxyType({name: http_url(url) for name, url in urls.items()})


def redis_url(value: str) -> str:
    try:
        url = urlsplit(value)
        named = url.path if url.scheme == "unix" else url.hostname
        usable = url.scheme in ("redis", "rediss", "unix") and bool(named) and url.port != 0
    except ValueError:
        usable = False
    if not usable or any(c.isspace() for c in value):
        raise Rejected("redis://host:6379/0, rediss://… or unix:///path/to/socket")
    return value


def dsn(value: str) -> str:
    if re.match(r"sqlite:///.", value) or re.match(r"postgres(ql)?://", value):
        return value
    raise Rejected("sqlite:///relative.db, sqlite:////absolute.db or postgresql://…")


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,12}", value) and lowest <= int(value) <= highest:
            return int(value)
        raise Rejected(f"a whole number from {lowest} to {highest}")

    return parse


def seconds(value: str) -> float:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) and float(value) > 0:
        return float(value)
    raise Rejected("a number of seconds above 0")


def usd(value: str) -> Decimal:
    if re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,10})?", value):
        return Decimal(value)
    raise Rejected("an amount in USD, 0 or more, e.g. 10 or 0.50")


def switch(value: str) -> bool:
    if value in ("0", "1"):
        return value == "1"
    raise Rejected("0 or 1")


def status(*numbers: int) -> Callable[[str], int]:
    parse_word = one_of(*map(str, numbers))
    return lambda value: int(parse_word(value))


def one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value in words:
            return value
        raise Rejected(" or ".join(words))

    return parse


def listed(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def paths(value: str) -> tuple[str, ...]:
    return tuple(item.strip("/") for item in listed(value))


def networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item, strict=False) for item in listed(value))
    except ValueError:
        raise Rejected(
            "comma-separated addresses or networks, e.g. 172.17.0.1,10.0.0.0/8"
        ) from None


# --- the variables --------------------------------------------------------------------------------


def variable(name: str, parse: Callable[[str], Any], default: str | None, doc: str) -> Any:
    """One variable: `default` is the text that stands for an unset one; None means none."""
    return dataclasses.field(
        metadata={"name": name, "parse": parse, "default": default, "doc": doc}
    )


@dataclass(frozen=True, slots=True)
class Config:
    upstream_url: str = variable(
        "UPSTREAM_URL",
        http_url,
        "https://api.openai.com",
        "LLM endpoint to forward to: OpenAI, Anthropic, LiteLLM, OpenRouter, anything compatible."
        " Unset: Anthropic Messages go to Anthropic, Gemini to Google, the rest to OpenAI",
    )
    upstreams: Mapping[str, str] = variable(
        "UPSTREAMS",
        named_urls,
        "{}",
        "JSON, name → URL: further upstreams, reached by the path prefix `/to/{name}/…` or the"
        " header `x-agentledger-upstream`; `anthropic`, `google`, `openai` and other makers' names"
        " say where their calls go when `AGENTLEDGER_UPSTREAM_URL` is unset",
    )
    dsn: str = variable(
        "DSN",
        dsn,
        "sqlite:///agentledger.db",
        "database: SQLite, or `postgresql://…` (any libpq URI; a socket folder as `?host=` too);"
        " a relative path is relative to the folder the command was started in",
    )
    host: str = variable("HOST", text, "0.0.0.0", "address to bind")
    port: int = variable("PORT", whole(0, 65535), "8000", "port to bind; 0 takes a free one")
    api_key: str | None = variable(
        "API_KEY",
        text,
        None,
        "protects all read endpoints, as the role `admin`; without one they answer loopback and"
        " `AGENTLEDGER_TRUSTED_NETWORKS` only. The proxy path stays open"
        " ([docs/access.md](docs/access.md))",
    )
    ingest_key: str | None = variable(
        "INGEST_KEY",
        text,
        None,
        "agents must send it, or an ingest token, as `x-agentledger-ingest-key`, or get 401; never"
        " forwarded",
    )
    models_allow: tuple[str, ...] = variable(
        "MODELS_ALLOW",
        listed,
        "",
        "comma-separated globs over model names, e.g. `gpt-4o*,claude-*`: all other models are"
        " refused with 403",
    )
    models_deny: tuple[str, ...] = variable(
        "MODELS_DENY",
        listed,
        "",
        "comma-separated globs over model names that are refused with 403, even if allowed",
    )
    trusted_networks: tuple[Network, ...] = variable(
        "TRUSTED_NETWORKS",
        networks,
        "",
        "comma-separated addresses and networks that may read without a key, as loopback may",
    )
    trusted_proxies: tuple[Network, ...] = variable(
        "TRUSTED_PROXIES",
        networks,
        "",
        "comma-separated addresses and networks of reverse proxies whose `X-Forwarded-For`,"
        " `X-Forwarded-Proto` and `Forwarded` count: who reads is whom they name",
    )
    allowed_hosts: tuple[str, ...] = variable(
        "ALLOWED_HOSTS",
        listed,
        "",
        "comma-separated Host names that the read endpoints answer to, beyond localhost names and"
        " IP addresses; with a key set, any Host unless this list is",
    )
    secret_key: str | None = variable(
        "SECRET_KEY",
        text,
        None,
        "signs what the pages keep in a browser; unset: one is made once and kept beside the spool"
        " folder (`agentledger-secret-key`, mode 0600)",
    )
    extra_paths: tuple[str, ...] = variable(
        "EXTRA_PATHS",
        paths,
        "",
        "comma-separated further request paths to capture, e.g. `v1/custom`;"
        " `v1/chat/completions`, `v1/messages`, `v1/responses` always are",
    )
    inject_usage: bool = variable(
        "INJECT_USAGE",
        switch,
        "0",
        "`1`: asks OpenAI-style streams for their usage and hides the chunk that brings it; this"
        " changes bytes",
    )
    capture_binary: bool = variable(
        "CAPTURE_BINARY",
        switch,
        "0",
        "`1`: keeps the bytes of images, sounds and files; else the ledger has their digests, types"
        " and sizes, and thumbnails of images",
    )
    pricing: str | None = variable(
        "PRICING",
        text,
        None,
        "inline JSON, model → `[input_per_million, output_per_million]` USD, merged over the"
        """ built-in prices, e.g. `'{"gpt-4o": [2.50, 10.00], "my-model": [1.00, 2.00]}'`;"""
        " [docs/pricing.md](docs/pricing.md) has the longer form",
    )
    pricing_file: str | None = variable(
        "PRICING_FILE",
        text,
        None,
        "a JSON file of the same form, applied after `AGENTLEDGER_PRICING`: where both name a"
        " model, the file wins",
    )
    budget_session: Decimal | None = variable(
        "BUDGET_SESSION", usd, None, "max USD per session, over its lifetime"
    )
    budget_agent: Decimal | None = variable(
        "BUDGET_AGENT", usd, None, "max USD per agent name and calendar day (UTC)"
    )
    budget_daily: Decimal | None = variable(
        "BUDGET_DAILY", usd, None, "max USD over all calls per calendar day (UTC)"
    )
    budget_user: Decimal | None = variable(
        "BUDGET_USER", usd, None, "max USD per user id and calendar day (UTC)"
    )
    budget_action: Literal["block", "warn", "both"] = variable(
        "BUDGET_ACTION",
        one_of("block", "warn", "both"),
        "block",
        "`block`: HTTP 429, the call never reaches the LLM; `warn`: the call goes through and is"
        " marked; `both`: blocks and marks. [docs/budgets.md](docs/budgets.md) says how exact"
        " budgets and limits are",
    )
    budget_status: Literal[429, 402, 403] = variable(
        "BUDGET_STATUS",
        status(429, 402, 403),
        "429",
        "HTTP status of a call that a budget refuses: `429`, `402` or `403`",
    )
    budget_unpriced: Literal["pass", "block"] = variable(
        "BUDGET_UNPRICED",
        one_of("pass", "block"),
        "pass",
        "calls under a budget whose model has no price: `pass` lets them through, marked, `block`"
        " refuses them",
    )
    budget_midstream: bool = variable(
        "BUDGET_MIDSTREAM",
        switch,
        "0",
        "`1`: a stream that runs into a budget is ended with an error event; this changes bytes",
    )
    rate_limit_rpm: int | None = variable(
        "RATE_LIMIT_RPM", whole(1, 1_000_000), None, "max requests in any 60 seconds, of all calls"
    )
    rate_limit_session_rpm: int | None = variable(
        "RATE_LIMIT_SESSION_RPM", whole(1, 1_000_000), None, "the same, per session"
    )
    rate_limit_agent_rpm: int | None = variable(
        "RATE_LIMIT_AGENT_RPM", whole(1, 1_000_000), None, "the same, per agent name"
    )
    rate_limit_user_rpm: int | None = variable(
        "RATE_LIMIT_USER_RPM", whole(1, 1_000_000), None, "the same, per user id"
    )
    redis_url: str | None = variable(
        "REDIS_URL",
        redis_url,
        None,
        "`redis://…`, `rediss://…` or `unix://…`: where several proxies share limits and budgets;"
        " unset: each process has its own",
    )
    on_limiter_failure: Literal["pass", "block"] = variable(
        "ON_LIMITER_FAILURE",
        one_of("pass", "block"),
        "pass",
        "when limits and budgets cannot be checked (Redis is away): `pass` forwards calls, `block`"
        " refuses them with 503",
    )
    spool_dir: str | None = variable(
        "SPOOL_DIR",
        text,
        None,
        "folder of the spool, on a local disk; unset: `agentledger-spool` beside the SQLite file,"
        " or in the folder the command was started in",
    )
    spool_max_mb: int = variable(
        "SPOOL_MAX_MB",
        whole(1, 10_000_000),
        "4096",
        "how many MB may wait to be recorded",
    )
    spool_fsync: bool = variable(
        "SPOOL_FSYNC",
        switch,
        "0",
        "`1`: an answer ends only when it is on the disk itself, so that a power cut loses nothing"
        " (a killed process never does)",
    )
    on_full: Literal["block", "pass"] = variable(
        "ON_FULL",
        one_of("block", "pass"),
        "block",
        "when the spool or the disk is full: `block` refuses calls with 503, `pass` forwards them"
        " unrecorded and counts them",
    )
    upstream_connect_timeout_s: float = variable(
        "UPSTREAM_CONNECT_TIMEOUT_S",
        seconds,
        "10",
        "seconds to wait for a connection to the upstream",
    )
    upstream_read_timeout_s: float = variable(
        "UPSTREAM_READ_TIMEOUT_S",
        seconds,
        "600",
        "seconds to wait for the next byte of the upstream",
    )
    upstream_pool_size: int = variable(
        "UPSTREAM_POOL_SIZE",
        whole(0, 1_000_000),
        "0",
        "connections to the upstream at once; `0`: as many as there are calls",
    )
    upstream_trust_env: bool = variable(
        "UPSTREAM_TRUST_ENV",
        switch,
        "0",
        "`1`: reach the upstream through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and"
        " `NO_PROXY` name",
    )
    shutdown_s: float = variable(
        "SHUTDOWN_S", seconds, "30", "seconds that running calls get to end after SIGTERM"
    )
    # Names of variables that the operator has set: 'unset' is not the same as 'set to the default'.
    given: frozenset[str] = frozenset()

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, absolute; None when the database is PostgreSQL."""
        if not self.dsn.startswith("sqlite:///"):
            return None
        return Path.cwd() / self.dsn.removeprefix("sqlite:///")

    @property
    def spool_path(self) -> Path:
        if self.spool_dir is not None:
            return Path.cwd() / self.spool_dir
        beside = self.sqlite_path.parent if self.sqlite_path else Path.cwd()
        return beside / "agentledger-spool"

    @property
    def price_sources(self) -> PriceSources:
        file = Path.cwd() / self.pricing_file if self.pricing_file is not None else None
        return PriceSources(self.pricing, file, catalog.path_in(self.spool_path))

    @property
    def default_upstream_url(self) -> str | None:
        """The upstream of every request that names none. None where the operator set none: then
        each provider's calls go to that provider."""
        return self.upstream_url if self.is_given("upstream_url") else None

    def is_given(self, field: str) -> bool:
        return field in self.given

    def given_variables(self) -> dict[str, object]:
        """Returns the values of the variables that the operator set, by full name."""
        return {
            PREFIX + field.metadata["name"]: getattr(self, field.name)
            for field in variables()
            if self.is_given(field.name)
        }


def variables() -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(Config) if f.metadata]


def read(environment: Mapping[str, str]) -> Config:
    """The configuration that `environment` describes. Raises BadValue.

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


def unknown_names(environment: Mapping[str, str]) -> dict[str, str | None]:
    """AGENTLEDGER_… names that nothing reads, each with the nearest name that something does."""
    known = [PREFIX + field.metadata["name"] for field in variables()]
    return {
        name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), None)
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    }


@cache
def config() -> Config:
    return read(os.environ)
