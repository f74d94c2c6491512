"""The ASGI application on a server that is not ours, with and without lifespan."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.ledger import COMMANDS, Ledger, wait_until
from tests.support.provider import Provider

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"x-agentledger-session-id": "s"}


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_calls_are_recorded(fresh: Ledger, lifespan: str) -> None:
    fresh.server = "uvicorn"
    fresh.arguments = ("--lifespan", lifespan)
    with fresh:
        response = httpx.post(f"{fresh.url}/v1/chat/completions", json=BODY, headers=HEADERS)
        assert fresh.call("s")["action_id"] == response.headers["x-agentledger-action-id"]
    wait_until(lambda: not list(fresh.spool.glob("*.spool")) or lifespan == "off")


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_a_second_process_gives_up_and_says_why(fresh: Ledger, lifespan: str) -> None:
    fresh.env["AGENTLEDGER_SHUTDOWN_S"] = "0.1"
    with fresh:
        second = Ledger(fresh.folder, fresh.upstream_url, server="uvicorn", env=fresh.env)
        process = subprocess.Popen(
            [*COMMANDS["uvicorn"], "--lifespan", lifespan],
            cwd=second.folder,
            env=second.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        said = ""
        if lifespan == "off":
            while "running on" not in said:
                said += process.stderr.readline()
            url = said.split("running on ")[1].split()[0]
            with contextlib.suppress(httpx.RemoteProtocolError):  # it may end before it answers
                assert httpx.get(f"{url}/v1/models", timeout=60).status_code == 500
        said += process.communicate(timeout=60)[1]
        assert "another proxy process" in said
        assert process.returncode != -9


def test_it_is_imported_from_any_folder(tmp_path: Path, fresh: Ledger) -> None:
    code = "from agentledger_site.asgi import application; print(type(application).__name__)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=fresh.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "ProtocolTypeRouter"


PAGES = ["/", "/dashboard/sessions/", "/ws/", "/WS", "/%2577s", "/x/../ws"]


@pytest.mark.parametrize("path", [*PAGES, "/v1/realtime", "/to/x/ws", "/wsx"])
def test_a_websocket_goes_upstream_unless_its_path_is_ours(
    stack: Ledger, provider: Provider, path: str
) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(stack.url.replace("http", "ws") + path):
        pass
    seen = [request.target for request in provider.requests()]
    if path in PAGES:
        assert caught.value.response.status_code == 404
        body = json.loads(caught.value.response.body or b"")
        assert body == {"detail": "there is no WebSocket at this path"}
    assert seen == ([] if path in PAGES or path.startswith("/to/") else [path])
