"""The messages that wait for a client which reads slowly."""

from __future__ import annotations

import asyncio

from reports.live.mailbox import GAP, MAX_WAITING, Mailbox
from reports.live.watch import Watch
from reports.queries.call_list import CallFilter

WATCH = Watch(CallFilter(), 50, with_sessions=False, zone=None)


def test_one_message_too_many_becomes_a_gap() -> None:
    mailbox = Mailbox(WATCH)
    for n in range(MAX_WAITING):
        mailbox.put(str(n))
    mailbox.put("one too many")

    async def take_both() -> list[str]:
        first = await mailbox.take()
        mailbox.put("news")
        return [first, await mailbox.take()]

    assert asyncio.run(take_both()) == [GAP, "news"]


def test_a_gap_is_not_repeated() -> None:
    mailbox = Mailbox(WATCH)
    for message in ("news", GAP, GAP, "more"):
        mailbox.put(message)

    async def take_all() -> list[str]:
        return [await mailbox.take() for _ in range(3)]

    assert asyncio.run(take_all()) == ["news", GAP, "more"]
