"""The values that variables accept, and the messages about those that they do not."""

from __future__ import annotations

import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from access.redaction import redact_url
from agentledger_site import conf
from agentledger_site.database import databases
from agentledger_site.variables import PREFIX
from capture.evidence.anchor_address import AnchorKind
from capture.evidence.note import KeyType, VerifierKey
from tests.support.ledger import COMMANDS, Ledger, ServerName

LOG_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
_peter = VerifierKey.parse(LOG_KEY)
COSIGNER_KEY = VerifierKey(_peter.name, KeyType.COSIGNATURE, _peter.public).text()


def read(**values: str) -> conf.Config:
    return conf.read_config({PREFIX + name: value for name, value in values.items()})


def test_the_defaults() -> None:
    config = read()
    assert config.upstream_url == "https://api.openai.com"
    assert (config.host, config.port) == ("0.0.0.0", 8000)
    assert (config.upstream_connect_timeout_s, config.upstream_read_timeout_s) == (10.0, 600.0)
    assert config.sqlite_path == Path.cwd() / "agentledger.db"
    assert config.spool_path == Path.cwd() / "agentledger-spool"
    budgets = (config.budget_session, config.budget_agent, config.budget_daily, config.budget_user)
    assert budgets == (None, None, None, None)
    assert (config.budget_action, config.budget_status) == ("block", 429)
    assert (config.budget_unpriced, config.on_limiter_failure) == ("pass", "pass")
    assert (config.rate_limit_rpm, config.redis_url) == (None, None)
    assert config.given == frozenset()


def test_unset_is_not_the_same_as_the_default() -> None:
    assert not read(UPSTREAM_URL="").is_given("upstream_url")
    assert read(UPSTREAM_URL="https://api.openai.com").is_given("upstream_url")


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("UPSTREAM_URL", "http://localhost:4000/", "upstream_url", "http://localhost:4000"),
        ("UPSTREAM_URL", "https://a.b/c/", "upstream_url", "https://a.b/c"),
        ("UPSTREAM_URL", "http://[::1]:9", "upstream_url", "http://[::1]:9"),
        ("UPSTREAM_URL", "http://x/p?a=b", "upstream_url", "http://x/p?a=b"),
        ("UPSTREAMS", '{"groq": "http://x/"}', "upstreams", {"groq": "http://x"}),
        ("PREMIUMS", '{"Azure *": 1.1}', "premiums", {"azure *": Decimal("1.1")}),
        ("PORT", "0", "port", 0),
        ("PORT", "65535", "port", 65535),
        ("EXTRA_PATHS", " /v1/a/ ,v2/b,,", "extra_paths", ("v1/a", "v2/b")),
        ("SPOOL_FSYNC", "1", "spool_fsync", True),
        ("ON_FULL", "pass", "on_full", "pass"),
        ("UPSTREAM_READ_TIMEOUT_S", "0.25", "upstream_read_timeout_s", 0.25),
        ("BUDGET_SESSION", "5", "budget_session", Decimal(5)),
        ("BUDGET_AGENT", "0.0000000001", "budget_agent", Decimal("1e-10")),
        ("BUDGET_DAILY", "99999999.99", "budget_daily", Decimal("99999999.99")),
        ("BUDGET_USER", "0", "budget_user", Decimal(0)),
        ("BUDGET_ACTION", "both", "budget_action", "both"),
        ("BUDGET_STATUS", "402", "budget_status", 402),
        ("BUDGET_UNPRICED", "block", "budget_unpriced", "block"),
        ("BUDGET_MIDSTREAM", "1", "budget_midstream", True),
        ("RATE_LIMIT_RPM", "1", "rate_limit_rpm", 1),
        ("RATE_LIMIT_SESSION_RPM", "600", "rate_limit_session_rpm", 600),
        ("REDIS_URL", "redis://h:6379/0", "redis_url", "redis://h:6379/0"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1", "redis_url", "unix:///run/redis.sock?db=1"),
        ("ON_LIMITER_FAILURE", "block", "on_limiter_failure", "block"),
        ("API_KEY", "$ecret", "api_key", "$ecret"),
        ("LOG_ORIGIN", "a.example/b", "log_origin", "a.example/b"),
        ("WITNESS_FOR", f"{LOG_KEY}, ", "witness_for", (VerifierKey.parse(LOG_KEY),)),
        ("SPOOL_DIR", "/x/y", "spool_path", Path("/x/y")),
        ("DSN", "sqlite:////x/l.db", "sqlite_path", Path("/x/l.db")),
        ("DSN", "sqlite:////x/l.db", "spool_path", Path("/x/agentledger-spool")),
        ("DSN", "postgres://h/d", "sqlite_path", None),
    ],
)
def test_what_is_accepted(name: str, value: str, field: str, expected: Any) -> None:
    assert getattr(read(**{name: value}), field) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTREAM_URL", "api.openai.com"),
        ("UPSTREAM_URL", "ftp://x"),
        ("UPSTREAM_URL", "http://"),
        ("UPSTREAM_URL", "http://x:port"),
        ("UPSTREAM_URL", "http://x:0"),
        ("UPSTREAM_URL", "http://x y"),
        ("UPSTREAM_URL", "http://x/#part"),
        ("UPSTREAM_URL", "http://user:hidden@x"),
        ("UPSTREAM_URL", "http://:hidden@x"),
        ("UPSTREAM_URL", "http://hidden@x"),
        ("UPSTREAM_URL", "http://@x"),
        ("UPSTREAM_URL", "http://[::1"),
        ("UPSTREAM_URL", "http://[x]"),
        ("UPSTREAM_URL", "http://x\u2100y"),
        ("DSN", "mysql://user:hidden@host/x"),
        ("DSN", "mysql://host/x?password=hidden"),
        ("DSN", "host=h user=u password='hidden'"),
        ("DSN", "sqlite://x.db"),
        ("DSN", "ledger.db"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "80 80"),
        ("PORT", "\u0668"),
        ("SPOOL_MAX_MB", "0"),
        ("SPOOL_MAX_MB", "4e3"),
        ("SPOOL_FSYNC", "true"),
        ("ON_FULL", "drop"),
        ("UPSTREAM_CONNECT_TIMEOUT_S", "0"),
        ("UPSTREAM_CONNECT_TIMEOUT_S", "inf"),
        ("UPSTREAM_POOL_SIZE", "many"),
        ("BUDGET_SESSION", "-1"),
        ("BUDGET_AGENT", "ten"),
        ("BUDGET_DAILY", "$10"),
        ("BUDGET_DAILY", "1e3"),
        ("BUDGET_USER", "nan"),
        ("BUDGET_USER", "0.00000000001"),
        ("BUDGET_ACTION", "stop"),
        ("BUDGET_STATUS", "503"),
        ("BUDGET_UNPRICED", "warn"),
        ("BUDGET_MIDSTREAM", "yes"),
        ("RATE_LIMIT_RPM", "0"),
        ("RATE_LIMIT_SESSION_RPM", "-5"),
        ("RATE_LIMIT_AGENT_RPM", "1.5"),
        ("RATE_LIMIT_USER_RPM", "1000001"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://:hidden@h:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "redis://:hidden@h:port/0"),
        ("ON_LIMITER_FAILURE", "open"),
        ("TRUSTED_NETWORKS", "10.0.0.0/40"),
        ("UPSTREAMS", "groq=http://x"),
        ("UPSTREAMS", '["http://x"]'),
        ("UPSTREAMS", '{"Groq": "http://x"}'),
        ("UPSTREAMS", '{"groq": "x"}'),
        ("UPSTREAMS", '{"groq": 1}'),
        ("LOG_ORIGIN", "a b"),
        ("LOG_ORIGIN", "a+b"),
        ("WITNESS_FOR", "a"),
        ("WITNESS_FOR", f"{LOG_KEY},a+b+c"),
        ("WITNESS_FOR", COSIGNER_KEY),
        ("ANCHORS", "https://witness.example"),
        ("ANCHORS", f"https://witness.example#{LOG_KEY}"),
        ("ANCHORS", f"https://user:hidden@witness.example#{COSIGNER_KEY}"),
        ("ANCHORS", f"ftp://witness.example#{COSIGNER_KEY}"),
        ("ANCHORS", "/x,tsa+file:///y"),
        ("ANCHORS", "/" + "x" * 500),
        ("PREMIUMS", "azure=1"),
        ("PREMIUMS", '{"azure *": "1"}'),
        ("PREMIUMS", '{"azure *": -1}'),
        ("PREMIUMS", '{"": 1}'),
        ("PREMIUMS", "[1]"),
    ],
)
def test_what_is_not_accepted_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(conf.BadValue) as raised:
        read(**{name: value})
    said = str(raised.value)
    assert said.startswith(f"{PREFIX}{name}=")
    assert "expected " in said
    assert "\n" not in said
    assert "hidden" not in said


def test_anchors_are_told_apart_by_their_spelling() -> None:
    spelled = (
        f"held.txt, /x/, git:/r ,https://w.example/a#{COSIGNER_KEY},tsa+https://t.example#/r.pem"
    )
    anchors = read(ANCHORS=spelled).anchors
    assert [(one.kind, one.target) for one in anchors] == [
        (AnchorKind.FILE, "held.txt"),
        (AnchorKind.FOLDER, "/x/"),
        (AnchorKind.GIT, "/r"),
        (AnchorKind.WITNESS, "https://w.example/a"),
        (AnchorKind.TIMESTAMP, "https://t.example"),
    ]
    assert (anchors[3].key, anchors[4].certificates) == (VerifierKey.parse(COSIGNER_KEY), "/r.pem")


def test_a_postgresql_uri_is_read_as_libpq_reads_it() -> None:
    uri = "postgresql://user:p%40ss@host:5433/ledger?sslmode=require&application_name=a"
    database = databases(read(DSN=uri))["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    names = ("USER", "PASSWORD", "HOST", "PORT", "NAME")
    assert [database[name] for name in names] == ["user", "p@ss", "host", "5433", "ledger"]
    assert database["OPTIONS"]["sslmode"] == "require"
    socket_folder = databases(read(DSN="postgresql:///l?host=/run/pg"))["default"]
    assert (socket_folder["HOST"], socket_folder["NAME"]) == ("/run/pg", "l")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://u:hidden@h:5432/db", "postgresql://u:…@h:5432/db"),
        ("postgres://u@h/db", "postgres://u@h/db"),
        ("postgresql://h/db?user=u&password=hidden", "postgresql://h/db?user=u&password=…"),
        ("postgresql://h:1/db?password=x@hidden&user=u", "postgresql://h:1/db?password=…&user=u"),
        ("postgresql:///db?host=/run&passfile=/hidden", "postgresql:///db?host=/run&passfile=…"),
        ("postgresql://h/db?sslpassword=hidden", "postgresql://h/db?sslpassword=…"),
        ("postgresql://u:x?hidden=y@h/db", "postgresql://u:…@h/db"),
        ("sqlite:////data/@home/ledger.db", "sqlite:////data/@home/ledger.db"),
        # what libpq does not read as it was meant
        ("postgresql://h/db?passwd=hidden", "postgresql://h/db?passwd=…"),
        ("postgresql://h/db?hidden", "postgresql://h/db?…"),
        ("postgresql://u:x/hidden@h/db", "postgresql://u:…@h/db"),
        ("postgresql://u:x@hidden@h/db", "postgresql://u:…@h/db"),
    ],
)
def test_a_dsn_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert redact_url(uri) == shown


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("postgresql://u:hidd%en@h/db", "invalid percent-encoded token"),
        ("postgresql://u:hidden@[::1/db", "end of string"),
        ("postgresql://h/db?hidden", "missing key/value separator"),
        ("postgresql://h/db?passwd=hidden", '"passwd"'),
    ],
)
def test_a_dsn_that_libpq_cannot_read_is_not_quoted_with_its_secrets(uri: str, reason: str) -> None:
    with pytest.raises(conf.BadValue) as raised:
        databases(read(DSN=uri))
    assert reason in str(raised.value)
    assert "hidd" not in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        COMMANDS["daphne"],
        COMMANDS["uvicorn"],
        [*COMMANDS["daphne"][:2], "runrecorder"],
        [*COMMANDS["daphne"][:2], "migrate"],
    ],
    ids=["runproxy", "uvicorn", "runrecorder", "migrate"],
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("UPSTREAM_URL", "http://[::1"),
        ("BUDGET_DAILY", "-1"),
        ("DSN", "postgresql://u:hidden@h:1/x?nonsense=1"),
    ],
)
def test_a_bad_value_stops_the_start(
    fresh: Ledger, command: list[str], name: str, value: str
) -> None:
    fresh.env[PREFIX + name] = value
    process = subprocess.run(
        command,
        cwd=fresh.folder,
        env=fresh.environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    [line] = process.stderr.splitlines()
    assert f"{PREFIX}{name}=" in line
    assert "hidden" not in line
    assert os.listdir(fresh.folder) == []


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_an_unknown_variable_is_warned_about_once(fresh: Ledger, server: ServerName) -> None:
    fresh.server = server
    fresh.env |= {"AGENTLEDGER_UPSTREAM_URI": "http://x", "AGENTLEDGER_QQQ": "1"}
    with fresh:
        pass
    said = fresh.log.read_text()
    [near] = [line for line in said.splitlines() if "AGENTLEDGER_UPSTREAM_URI" in line]
    assert "AGENTLEDGER_UPSTREAM_URL" in near
    assert sum("AGENTLEDGER_QQQ" in line for line in said.splitlines()) == 1
