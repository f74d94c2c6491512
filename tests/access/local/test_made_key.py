"""The key that is made where nobody can be told to be the local operator, and the start's notes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import httpx
import pytest

from access.request_checks import KEY_HEADER
from tests.access.local.test_connection_owner import NOBODY, as_root
from tests.conftest import running_on
from tests.support.ledger import Ledger, wait_until

NOBODY_IS_LOCAL = {"AGENTLEDGER_LOCAL_OPERATOR": "0"}
LINK = re.compile(r"(http://\S+/\?api_key=\S+)")


def file_of(ledger: Ledger) -> str:
    return (ledger.folder / "agentledger-api-key").read_text().strip()


def test_a_key_is_made_once_kept_and_shown_as_a_link(fresh: Ledger) -> None:
    fresh.env |= NOBODY_IS_LOCAL
    with fresh:
        key = file_of(fresh)
        assert LINK.findall(fresh.log.read_text()) == [f"{fresh.url}/?api_key={key}"]
        assert (fresh.folder / "agentledger-api-key").stat().st_mode & 0o777 == 0o600
        refused = fresh.get("/api/sessions")
        assert (refused.status_code, KEY_HEADER in refused.json()["detail"]) == (401, True)
        assert fresh.get("/api/audit", headers={KEY_HEADER: key}).status_code == 200
    (fresh.folder / "agentledger-api-key").chmod(0o644)
    with fresh:
        assert file_of(fresh) == key
        assert (fresh.folder / "agentledger-api-key").stat().st_mode & 0o777 == 0o600
        assert fresh.get("/api/sessions", headers={KEY_HEADER: key}).status_code == 200
    # The networks that the operator trusts stay trusted.
    fresh.env["AGENTLEDGER_TRUSTED_NETWORKS"] = "127.0.0.0/8"
    with fresh:
        assert fresh.get("/api/sessions").status_code == 200
        forwarded = fresh.get("/api/sessions", headers={"x-forwarded-for": "127.0.0.1"})
        assert forwarded.status_code == 401
        assert "every user of this machine" in fresh.log.read_text()


def test_the_operators_own_key_is_neither_replaced_nor_shown(fresh: Ledger) -> None:
    fresh.env |= {**NOBODY_IS_LOCAL, "AGENTLEDGER_API_KEY": "k-123"}
    with fresh:
        assert "k-123" not in fresh.log.read_text()
        assert not (fresh.folder / "agentledger-api-key").exists()
        assert fresh.get("/api/sessions", headers={KEY_HEADER: "k-123"}).status_code == 200


def test_other_servers_show_the_link_too(request: pytest.FixtureRequest) -> None:
    with running_on("uvicorn-sqlite", request, AGENTLEDGER_LOCAL_OPERATOR="0") as ledger:
        [link] = wait_until(lambda: LINK.findall(ledger.log.read_text()))
        assert link.endswith(f"/?api_key={file_of(ledger)}")
        assert ledger.get("/api/sessions").status_code == 401


def is_known_in(ledger: Ledger, *prefix: str, before: str = "pass") -> str:
    """What a process with this user and in this namespace finds out about itself."""
    # What Python imports only when it is needed, another user may not be able to read.
    script = "import os, encodings.idna; from access.local import connection_owner as owner"
    command = [*prefix, sys.executable, "-c", f"{script}; {before}; print(owner.is_known())"]
    said = subprocess.run(command, env=ledger.environment(), capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def test_a_user_namespace_does_not_tell_users_apart(fresh: Ledger) -> None:
    """As in a rootless container: one user there may be many outside."""
    separate = ["unshare", "--user", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*separate, "true"]).returncode != 0:
        pytest.skip("user namespaces are not allowed here")
    assert is_known_in(fresh) == "True"
    assert is_known_in(fresh, *separate) == "False"


@as_root
def test_nobody_is_no_user_of_our_own(fresh: Ledger) -> None:
    assert is_known_in(fresh, before=f"os.setuid({NOBODY})") == "False"
    assert is_known_in(fresh, before="os.setuid(12345)") == "True"


def test_the_start_warns_when_others_can_connect_without_a_key(fresh: Ledger) -> None:
    warning = "AGENTLEDGER_API_KEY is not set, and other machines can connect"
    fresh.env["AGENTLEDGER_HOST"] = "0.0.0.0"
    with fresh:
        wait_until(lambda: warning in fresh.log.read_text())
        assert httpx.get(f"{fresh.url}/api/sessions").status_code == 200
    fresh.log.write_text("")
    fresh.env["AGENTLEDGER_API_KEY"] = "k"
    with fresh:
        assert fresh.get("/health").status_code == 200
    assert warning not in fresh.log.read_text()
