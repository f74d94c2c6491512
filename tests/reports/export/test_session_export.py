"""GET /export/{session} and manage.py export_session: JSON and JSON Lines."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import httpx
import pytest
import rfc8785

from reports.session_addresses import session_segment
from tests.support import canned
from tests.support.ledger import PROJECT, Ledger
from tests.support.provider import Provider

SESSION = "x-agentledger-session-id"


def call(ledger: Ledger, session: str, body: bytes | dict[str, Any]) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {SESSION: session, "content-type": "application/json"}
    url = f"{ledger.url}/v1/chat/completions"
    response = httpx.post(url, content=content, headers=headers, timeout=60)
    return response.headers["x-agentledger-action-id"]


def export(ledger: Ledger, session: str, **parameters: Any) -> httpx.Response:
    return ledger.get(f"/export/{session_segment(session)}", params=parameters).raise_for_status()


def at(document: Any, pointer: str) -> Any:
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        document = document[int(key) if isinstance(document, list) else key]
    return document


def test_an_export_has_the_sessions_facts_and_all_fields_of_its_calls(
    stack: Ledger, provider: Provider
) -> None:
    session = f"export-{uuid4()}"
    for number in range(3):
        messages = [{"role": "user", "content": f"question {n} 🚀"} for n in range(number + 1)]
        call(stack, session, {"model": "m", "messages": messages, "temperature": 0.7})
    calls = stack.calls(session, count=3)
    response = export(stack, session, format="json")
    document = response.json()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-disposition"] == f'attachment; filename="{session}.json"'
    assert document["format"] == "agentledger-export/1"
    assert document["generator"].startswith("AgentLedger ")
    assert document["session"] == stack.get(f"/api/sessions/{session}").json()
    assert document["calls"] == calls
    assert document["coerced"] == []
    assert document["sha256"] == hashlib.sha256(rfc8785.dumps(document["calls"])).hexdigest()
    lines = export(stack, session, format="jsonl").text.splitlines()
    assert [json.loads(line) for line in lines] == calls


def test_numbers_that_canonical_json_cannot_carry_are_named(
    stack: Ledger, provider: Provider
) -> None:
    session = f"numbers-{uuid4()}"
    large = 2**53
    arguments = f'{{"id": {10**25}, "b/~": [NaN, -Infinity, 1.0, {large - 1}]}}'
    tool_call = {"id": "t", "function": {"name": "f", "arguments": arguments}}
    provider.response(*canned.as_json(canned.chat("x", tool_calls=[tool_call])))
    odd = f"[-{large}, NaN, Infinity, 1e400, 1e17, 1.50, 1e21, -0.0]"
    messages = f'[{{"role": "user", "content": "hi"}}, {{"role": "user", "x": {odd}}}]'
    body = f'{{"model": "m", "seed": {large}, "messages": {messages}}}'
    call(stack, session, body.encode())
    stack.call(session)
    document = export(stack, session).json()
    numbers = {pointer: at(document, pointer) for pointer in document["coerced"]}
    x = "/calls/0/messages/1/x"
    arguments_at = "/calls/0/tool_calls/0/arguments"
    assert numbers == {
        "/calls/0/request_params/seed": str(large),
        f"{arguments_at}/id": str(10**25),
        f"{arguments_at}/b~1~0/0": "NaN",
        f"{arguments_at}/b~1~0/1": "-Infinity",
        f"{x}/0": str(-large),
        f"{x}/1": "NaN",
        f"{x}/2": "Infinity",
        f"{x}/3": "Infinity",
        f"{x}/4": "1" + 17 * "0",
    }
    assert at(document, x)[5:] == [1.5, 1e21, 0]
    assert at(document, arguments_at)["b/~"][2:] == [1, large - 1]
    assert document["sha256"] == hashlib.sha256(rfc8785.dumps(document["calls"])).hexdigest()


@pytest.mark.parametrize(
    ("session", "header"),
    [
        ("a/b", "attachment; filename=\"a-b.json\"; filename*=UTF-8''a_b.json"),
        ('quo"te', "attachment; filename=\"quo-te.json\"; filename*=UTF-8''quo_te.json"),
        ("..", 'attachment; filename="session.json"'),
        ("a//b", "attachment; filename=\"a-b.json\"; filename*=UTF-8''a__b.json"),
        ("ï ☃", "attachment; filename=\"session.json\"; filename*=UTF-8''%C3%AF%20%E2%98%83.json"),
        ("\\", "attachment; filename=\"session.json\"; filename*=UTF-8''_.json"),
    ],
    ids=repr,
)  # fmt: skip
def test_odd_session_ids_make_safe_file_names(
    stack: Ledger, provider: Provider, session: str, header: str
) -> None:
    body = json.dumps({"model": "m", "messages": []}).encode()
    headers = {SESSION.encode(): session.encode()}
    response = httpx.post(f"{stack.url}/v1/chat/completions", content=body, headers=headers)
    stack.explain(response.headers["x-agentledger-action-id"])
    response = httpx.get(f"{stack.url}/export/{session_segment(session)}").raise_for_status()
    assert response.headers["content-disposition"] == header
    assert response.json()["session"]["session_id"] == session


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_an_unknown_session_is_404_in_every_format(
    stack: Ledger, provider: Provider, format: str
) -> None:
    response = stack.get("/export/nobody", params={"format": format})
    assert (response.status_code, response.json()) == (
        404,
        {"detail": "there is no session 'nobody'"},
    )
    assert response.headers["content-type"] == "application/json"


def test_a_bad_parameter_is_refused_by_name(ledger: Ledger, provider: Provider) -> None:
    for query, name in [("format=xml", "format"), ("checkpoint=0", "checkpoint"), ("x=1", "x")]:
        response = ledger.get(f"/export/nobody?{query}")
        assert (response.status_code, list(response.json())) == (400, [name])


def test_browsers_see_what_an_export_is(ledger: Ledger, provider: Provider) -> None:
    call(ledger, "browsed", {"model": "m", "messages": []})
    ledger.call("browsed")
    page = ledger.get("/export/browsed", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "/export/browsed?format=jsonl" in page.text


def test_the_command_writes_the_same_document(stack: Ledger, provider: Provider) -> None:
    session = f"command-{uuid4()}"
    call(stack, session, {"model": "m", "messages": [{"role": "user", "content": "é"}]})
    stack.call(session)
    printed = stack.command("export_session", session)
    assert (printed.returncode, printed.stderr) == (0, "")
    file = stack.folder / "out.json"
    written = stack.command("export_session", session, "-o", str(file))
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    documents = [
        export(stack, session).json(),
        json.loads(printed.stdout),
        json.loads(file.read_bytes()),
    ]
    for document in documents:
        del document["exported_at"]
    assert documents[1:] == documents[:1] * 2


def test_the_command_says_what_is_wrong_in_one_line(ledger: Ledger, provider: Provider) -> None:
    unknown = ledger.command("export_session", "nobody", "-o", "nobody.json")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "CommandError: there is no session 'nobody'\n"
    assert not list(ledger.folder.glob("*nobody*"))


def test_a_failed_export_leaves_no_file(ledger: Ledger, provider: Provider) -> None:
    call(ledger, "whole", {"model": "m", "messages": []})
    ledger.call("whole")
    (ledger.folder / "taken").mkdir(exist_ok=True)
    failed = ledger.command("export_session", "whole", "-o", "taken")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("CommandError: the session was not exported: ")
    assert not list(ledger.folder.glob(".*.part"))


def test_a_reader_that_leaves_ends_the_command(ledger: Ledger, provider: Provider) -> None:
    for _ in range(3):
        call(ledger, "pipe", {"model": "m", "messages": [{"role": "user", "content": "x" * 2**20}]})
    ledger.calls("pipe", count=3)
    command = f"{sys.executable} {PROJECT}/manage.py export_session pipe | head -c 10"
    found = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ledger.folder, env=ledger.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (1, '{"format":')
    assert "Traceback" not in found.stderr
