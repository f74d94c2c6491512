"""Pages of calls that are long, or were too long to be parsed, stay short; JSON has all of them."""

from __future__ import annotations

import httpx

from tests.support import bombs, canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

MB = 2**20
VIEWS = ("new", "full", "raw")


def post(ledger: Ledger, session: str, body: bytes) -> str:
    headers = {"content-type": "application/json", "x-agentledger-session-id": session}
    url = f"{ledger.url}/v1/chat/completions"
    response = httpx.post(url, content=body, headers=headers, timeout=60)
    return response.headers["x-agentledger-action-id"]


def messages(n: int, *, last: int) -> bytes:
    """Returns a request of `n` messages, of which the last ones differ from call to call."""
    same = b",".join([bombs.MESSAGE] * (n - 300))
    end = b",".join(b'{"role":"user","content":"%d"}' % (last + i) for i in range(300))
    return b'{"model":"m","messages":[' + same + b"," + end + b"]}"


def test_a_page_shows_a_part_of_many_messages(ledger: Ledger) -> None:
    ids = [post(ledger, "many", messages(8_000, last=last)) for last in (0, 1_000)]
    ledger.calls("many", count=2)
    for action_id in ids:
        for view in VIEWS:
            page = ledger.get(f"/dashboard/calls/{action_id}/?view={view}")
            assert page.status_code == 200
            assert len(page.content) < MB
        assert "7,500 more messages" in ledger.get(f"/dashboard/calls/{ids[0]}/?view=full").text
        assert len(ledger.explain(action_id)["messages"]) == 8_000
    page = ledger.get("/dashboard/sessions/many/")
    assert (page.status_code, len(page.content) < MB) == (200, True)
    assert "messages not shown here" in page.text


def test_a_request_recorded_raw_has_removed_no_message(ledger: Ledger) -> None:
    post(ledger, "odd", messages(1, last=0))
    ledger.calls("odd", count=1)
    action_id = post(ledger, "odd", b'{"model":"m","x":"' + b"y" * (5 * MB) + b'"}')
    ledger.calls("odd", count=2)
    page = ledger.get(f"/dashboard/calls/{action_id}/").text
    assert "removed since" not in page
    new_input = page.partition('id="input"')[2].partition("</section>")[0]
    assert "No messages could be parsed" in new_input
    assert "the request is recorded raw" in new_input


def test_a_page_shows_the_beginning_of_raw_bodies(ledger: Ledger, provider: Provider) -> None:
    headers = [("content-type", "text/event-stream")]
    response = b"data: {}\n\n" * 260_000
    provider.response(*canned.whole(response, headers=headers))
    body = b'{"model":"m","x":"' + b"y" * (5 * MB) + b'"}'
    action_id = post(ledger, "raw", body)
    notes = ledger.explain(action_id)["notes"]
    assert [note.partition(": ")[0] for note in notes[:2]] == [
        "the request is recorded raw",
        "the response is recorded raw",
    ]
    for view in VIEWS:
        page = ledger.get(f"/dashboard/calls/{action_id}/?view={view}")
        assert page.status_code == 200
        assert len(page.content) < MB
        assert "recorded raw" in page.text
    call = ledger.explain(action_id)
    assert (call["raw_request"], call["raw_response"]) == (body.decode(), response.decode())
    for path in ("/dashboard/flow/?session=raw", "/dashboard/trace/?session=raw", "/session/raw"):
        assert ledger.get(path).status_code == 200
    assert ledger.get("/dashboard/sessions/raw/").status_code == 200
    csv = ledger.get("/dashboard/calls.csv?session=raw")
    assert (csv.status_code, action_id in csv.text) == (200, True)
