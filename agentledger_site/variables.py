"""The table of AGENTLEDGER_* variables: name, type, parser, default and meaning of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from access.request_checks import Network
from agentledger_site.parsers import (
    anchors,
    dsn,
    factors,
    flag,
    http_status,
    http_url,
    key_name,
    name_list,
    networks,
    one_of,
    origins,
    path_list,
    picture,
    redis_url,
    seconds,
    sub_path,
    text,
    urls_by_name,
    usd,
    verifier_keys,
    whole_number,
)
from capture.evidence.anchor_address import AnchorAddress
from capture.evidence.note import VerifierKey

PREFIX = "AGENTLEDGER_"


def variable(name: str, parse: Callable[[str], Any], default: str | None, doc: str) -> Any:
    """Returns the field of one variable. `default` is the text that an unset variable stands for;
    None: such a variable has no value. `doc` is shown in the README."""
    return dataclasses.field(
        metadata={"name": name, "parse": parse, "default": default, "doc": doc}
    )


@dataclass(frozen=True, slots=True)
class Variables:
    """The value of each variable, named after it in lower case."""

    upstream_url: str = variable(
        "UPSTREAM_URL",
        http_url,
        "https://api.openai.com",
        "LLM endpoint to forward to: OpenAI, Anthropic, LiteLLM, OpenRouter or anything compatible."
        " If unset, each request goes to the maker of its credential and its API: Anthropic, Google"
        " or OpenAI ([docs/integrations](docs/integrations/README.md#where-a-request-goes))",
    )
    upstreams: Mapping[str, str] = variable(
        "UPSTREAMS",
        urls_by_name,
        "{}",
        "JSON object, name → URL: more upstreams, selected by the path prefix `/to/{name}/…` or the"
        " header `x-agentledger-upstream`. If `AGENTLEDGER_UPSTREAM_URL` is unset, a provider's"
        " name (`anthropic`, `google`, `openai` …) sets where calls to its API go",
    )
    dsn: str = variable(
        "DSN",
        dsn,
        "sqlite:///agentledger.db",
        "database: SQLite or `postgresql://…` (any libpq URI, including a socket folder as"
        " `?host=`); a relative path is relative to the working directory",
    )
    host: str = variable("HOST", text, "0.0.0.0", "address to bind")
    port: int = variable("PORT", whole_number(0, 65535), "8000", "port to bind; 0: any free port")
    dashboard_port: int | None = variable(
        "DASHBOARD_PORT",
        whole_number(0, 65535),
        None,
        "port of its own for the pages and the API; `AGENTLEDGER_PORT` then has the proxy,"
        " `/health` and `/readyz` ([docs/access.md](docs/access.md#two-ports))",
    )
    api_key: str | None = variable(
        "API_KEY",
        text,
        None,
        "key for all read endpoints, with the role `admin`; without one they are open only to the"
        " local operator and `AGENTLEDGER_TRUSTED_NETWORKS`. The proxy path stays open"
        " ([docs/access.md](docs/access.md))",
    )
    local_operator: bool = variable(
        "LOCAL_OPERATOR",
        flag,
        "1",
        "`1`: without `AGENTLEDGER_API_KEY`, programs of the user who runs AgentLedger, on the same"
        " machine, are the local operator, who may do everything; `0`, as in the image: nobody is,"
        " and a key is made, stored beside the spool folder (`agentledger-api-key`, mode 0600) and"
        " shown as a link at the start",
    )
    ingest_key: str | None = variable(
        "INGEST_KEY",
        text,
        None,
        "key that agents must send as `x-agentledger-ingest-key` (or an ingest token), or else get"
        " 401; never forwarded",
    )
    models_allow: tuple[str, ...] = variable(
        "MODELS_ALLOW",
        name_list,
        "",
        "comma-separated globs over model names, e.g. `gpt-4o*,claude-*`: all other models are"
        " refused with 403",
    )
    models_deny: tuple[str, ...] = variable(
        "MODELS_DENY",
        name_list,
        "",
        "comma-separated globs over model names that are refused with 403, even if allowed",
    )
    trusted_networks: tuple[Network, ...] = variable(
        "TRUSTED_NETWORKS",
        networks,
        "",
        "comma-separated addresses and networks that may read without a key, whichever program it"
        " is; `AGENTLEDGER_API_KEY` overrides it",
    )
    trusted_proxies: tuple[Network, ...] = variable(
        "TRUSTED_PROXIES",
        networks,
        "",
        "comma-separated addresses and networks of reverse proxies whose `X-Forwarded-For`,"
        " `X-Forwarded-Proto` and `Forwarded` headers are trusted to name the client, and"
        " `X-Forwarded-Prefix` the root path",
    )
    root_path: str = variable(
        "ROOT_PATH",
        sub_path,
        "/",
        "path at which a reverse proxy serves AgentLedger, e.g. `/ledger`, whether it passes that"
        " on or takes it off; if unset, that in `X-Forwarded-Prefix` of a trusted proxy"
        " ([docs/access.md](docs/access.md#behind-a-reverse-proxy))",
    )
    allowed_hosts: tuple[str, ...] = variable(
        "ALLOWED_HOSTS",
        name_list,
        "",
        "comma-separated host names that the read endpoints accept in addition to localhost names"
        " and IP addresses; with a key set and this list empty, they accept any",
    )
    allow_browsers: tuple[str, ...] = variable(
        "ALLOW_BROWSERS",
        origins,
        "",
        "comma-separated origins, e.g. `https://app.example.com`, whose pages may send calls and"
        " read their responses, like those of loopback origins; `*`: all"
        " ([docs/access.md](docs/access.md#browsers))",
    )
    secret_key: str | None = variable(
        "SECRET_KEY",
        text,
        None,
        "signs the browsers' cookies; if unset, a key is generated once and stored beside the spool"
        " folder (`agentledger-secret-key`, mode 0600)",
    )
    extra_paths: tuple[str, ...] = variable(
        "EXTRA_PATHS",
        path_list,
        "",
        "comma-separated additional request paths to record, e.g. `v1/custom`;"
        " `v1/chat/completions`, `v1/messages`, `v1/responses` are always recorded",
    )
    inject_usage: bool = variable(
        "INJECT_USAGE",
        flag,
        "0",
        "`1`: requests the usage of OpenAI-style streams and removes the chunk that carries it from"
        " the response; this changes bytes",
    )
    capture_binary: bool = variable(
        "CAPTURE_BINARY",
        flag,
        "0",
        "`1`: stores the bytes of images, audio and files; otherwise the ledger stores only their"
        " digests, types and sizes, and thumbnails of images",
    )
    pricing: str | None = variable(
        "PRICING",
        text,
        None,
        "inline JSON, model → `[input_per_million, output_per_million]` in USD, which override the"
        """ built-in prices, e.g. `'{"gpt-4o": [2.50, 10.00], "my-model": [1.00, 2.00]}'`;"""
        " [docs/pricing.md](docs/pricing.md) describes the longer form",
    )
    pricing_file: str | None = variable(
        "PRICING_FILE",
        text,
        None,
        "JSON file of the same form, applied after `AGENTLEDGER_PRICING`: if both name a model, the"
        " file wins",
    )
    premiums: Mapping[str, Decimal] = variable(
        "PREMIUMS",
        factors,
        "{}",
        "what calls cost at a place, as a multiple of the published price: JSON, place → number,"
        """ e.g. `'{"azure *": 1}'`; [docs/pricing.md](docs/pricing.md#where-a-call-ran) names"""
        " the places",
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
        "when a budget is exhausted: `block` refuses the call with HTTP 429, so that it never"
        " reaches the LLM; `warn` lets it pass, marked; `both` blocks and marks."
        " [docs/budgets.md](docs/budgets.md) describes how exact budgets and limits are",
    )
    budget_status: Literal[429, 402, 403] = variable(
        "BUDGET_STATUS",
        http_status(429, 402, 403),
        "429",
        "HTTP status of a call that a budget refuses: `429`, `402` or `403`",
    )
    budget_unpriced: Literal["pass", "block"] = variable(
        "BUDGET_UNPRICED",
        one_of("pass", "block"),
        "pass",
        "when a budget applies to a call whose model has no price: `pass` lets it pass, marked;"
        " `block` refuses it",
    )
    budget_midstream: bool = variable(
        "BUDGET_MIDSTREAM",
        flag,
        "0",
        "`1`: a stream that exhausts a budget is ended with an error event; this changes bytes",
    )
    rate_limit_rpm: int | None = variable(
        "RATE_LIMIT_RPM",
        whole_number(1, 1_000_000),
        None,
        "max requests in any 60 seconds, over all calls",
    )
    rate_limit_session_rpm: int | None = variable(
        "RATE_LIMIT_SESSION_RPM", whole_number(1, 1_000_000), None, "the same, per session"
    )
    rate_limit_agent_rpm: int | None = variable(
        "RATE_LIMIT_AGENT_RPM", whole_number(1, 1_000_000), None, "the same, per agent name"
    )
    rate_limit_user_rpm: int | None = variable(
        "RATE_LIMIT_USER_RPM", whole_number(1, 1_000_000), None, "the same, per user id"
    )
    redis_url: str | None = variable(
        "REDIS_URL",
        redis_url,
        None,
        "`redis://…`, `rediss://…` or `unix://…`: lets several proxies share limits and budgets; if"
        " unset, each process counts for itself",
    )
    on_limiter_failure: Literal["pass", "block"] = variable(
        "ON_LIMITER_FAILURE",
        one_of("pass", "block"),
        "pass",
        "when limits and budgets cannot be checked (Redis is unavailable): `pass` forwards calls,"
        " `block` refuses them with 503",
    )
    max_decoded_mb: int = variable(
        "MAX_DECODED_MB",
        whole_number(1, 1024),
        "64",
        "maximum size in MB of a request or response body, decompressed, that the recorder parses;"
        " a larger one is recorded raw, and no more of it than that"
        " ([docs/fields.md](docs/fields.md#limits-of-parsing)). The recorder may need 400 MB and"
        " four times as much memory",
    )
    report_title: str | None = variable(
        "REPORT_TITLE",
        text,
        None,
        "what stands at the head of reports instead of `AgentLedger`, such as the name of your"
        " company ([docs/reports.md](docs/reports.md))",
    )
    report_logo: str | None = variable(
        "REPORT_LOGO", picture, None, "PNG, JPEG, SVG or WebP file that stands beside it"
    )
    spool_dir: str | None = variable(
        "SPOOL_DIR",
        text,
        None,
        "folder of the spool, on a local disk; if unset, `agentledger-spool` beside the SQLite file"
        " or, with PostgreSQL, in the working directory",
    )
    spool_max_mb: int = variable(
        "SPOOL_MAX_MB",
        whole_number(1, 10_000_000),
        "4096",
        "maximum size in MB of calls that are not recorded yet",
    )
    spool_fsync: bool = variable(
        "SPOOL_FSYNC",
        flag,
        "0",
        "`1`: a response ends only once it is flushed to disk, so that even a power cut loses"
        " nothing (a killed process loses nothing either way)",
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
        "seconds to wait for the next byte from the upstream",
    )
    upstream_pool_size: int = variable(
        "UPSTREAM_POOL_SIZE",
        whole_number(0, 1_000_000),
        "0",
        "maximum number of simultaneous connections to the upstream; `0`: unlimited",
    )
    upstream_trust_env: bool = variable(
        "UPSTREAM_TRUST_ENV",
        flag,
        "0",
        "`1`: connect to the upstream through the proxy set in `HTTPS_PROXY`, `HTTP_PROXY` and"
        " `NO_PROXY`",
    )
    signing_key_file: str | None = variable(
        "SIGNING_KEY_FILE",
        text,
        None,
        "file with the Ed25519 key (PEM) that signs the log's checkpoints; if unset, a key is made"
        " once and stored beside the spool folder (`agentledger-signing-key`, mode 0600) or, with"
        " PostgreSQL, in the database ([docs/evidence.md](docs/evidence.md#the-key))",
    )
    log_origin: str | None = variable(
        "LOG_ORIGIN",
        key_name,
        None,
        "name of the log and of its key, e.g. `ledger.example.org/agents`; if unset, `agentledger/`"
        " and the ledger's UUID",
    )
    anchors: tuple[AnchorAddress, ...] = variable(
        "ANCHORS",
        anchors,
        "",
        "comma-separated places outside the database that get each checkpoint: a file, a `folder/`,"
        " `git:/repository`, `https://witness#KEY`, `tsa+https://authority#roots.pem`"
        " ([docs/evidence.md](docs/evidence.md#anchors))",
    )
    witness_for: tuple[VerifierKey, ...] = variable(
        "WITNESS_FOR",
        verifier_keys,
        "",
        "comma-separated verifier keys of other logs: this AgentLedger is a witness of them, at"
        " `/witness/add-checkpoint` ([docs/evidence.md](docs/evidence.md#witnesses))",
    )
    shutdown_s: float = variable(
        "SHUTDOWN_S", seconds, "30", "seconds that running calls get to finish after SIGTERM"
    )


def variables() -> list[dataclasses.Field[Any]]:
    """Returns the fields of `Variables`, each with its `variable(…)` as metadata."""
    return list(dataclasses.fields(Variables))
