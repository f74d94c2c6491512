"""CPU of storing a call, in batches of 500: what the recorder does after it has parsed them.

    python -m benchmarks.storing [postgresql://…]

The evidence log's share (making records, appending their hashes, writing tiles) has a column of its
own. Three kinds of traffic, each into a new ledger: one agent with one user; a hundred sessions
that run at once, of 50 agents with one to three of 20 models each, in three environments, for 5,000
users; and calls of which no two have a user or an agent in common. The database is a new SQLite
file unless one is named.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capture.ledger.entry import Entry
    from capture.pricing.prices import Prices

BATCHES, BATCH = 40, 500
WARM_UP = 4  # batches that are not counted
MODELS = [f"gpt-4o-{number}" for number in range(20)]
ENVIRONMENTS = ["production"] * 6 + ["staging"] * 3 + ["development"]
Names = dict[str, str]


def one_agent(number: int) -> Names:
    session = f"run-{number // 10}"
    return {"model": "gpt-4o-mini", "session_id": session, "agent_name": "a", "user_id": "u"}


def many_agents(number: int) -> Names:
    session = number // 2000 * 100 + number % 100  # 20 calls each
    random = Random(session)
    agent, user, environment = (random.randrange(most) for most in (50, 5000, 10))
    return {
        "model": MODELS[(agent + number // 100 % (1 + agent % 3)) % 20],
        "session_id": f"run-{session}",
        "agent_name": f"agent-{agent}",
        "app_id": f"app-{agent % 5}",
        "user_id": f"user-{user}",
        "environment": ENVIRONMENTS[environment],
    }


def nothing_in_common(number: int) -> Names:
    names = {"agent_name": f"agent-{number}", "user_id": f"user-{number}"}
    return {"model": "m", "session_id": f"run-{number // 10}", **names}


def entry(number: int, names: Names, prices: Prices) -> Entry:
    from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
    from capture.ledger.entry import Entry
    from capture.parsing.parse import parse_call

    message = {"role": "user", "content": f"Question {number}: which region comes first, and why?"}
    body = json.dumps({"model": names["model"], "messages": [message]}).encode()
    usage = {"prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200, "cost": 0.0012}
    choice = {"index": 0, "message": {"role": "assistant", "content": f"The {number}."}}
    response = {"id": "c", "model": names["model"], "choices": [choice], "usage": usage}
    head = RequestHead(
        started_ns=time.time_ns(),
        method="POST",
        path="/v1/chat/completions",
        target="/v1/chat/completions",
        wire_format="openai_chat",
        upstream="http://127.0.0.1",
        upstream_name="default",
        provider="openai",
        headers=[("content-type", "application/json")],
        ledger={name: value for name, value in names.items() if name != "model"},
        body_size=len(body),
        has_body_file=False,
    )
    latency_ns = int(Random(number).lognormvariate(7.5, 0.8) * 1e6)
    call = parse_call(
        Exchange(
            new_action_id(),
            request=head,
            body=body,
            response=ResponseHead(200, [("content-type", "application/json")], latency_ns // 2),
            pieces=[json.dumps(response).encode()],
            piece_times_ns=[latency_ns],
            end=End(Outcome.COMPLETED, latency_ns),
        )
    )
    from capture.pricing.terms import BillingTerms

    terms = BillingTerms(names["model"], provider="openai")
    return Entry(call, prices.cost(call.usage, terms, at=call.timestamp))


def cpu_us_a_call(names_of: Callable[[int], Names]) -> tuple[list[float], list[float]]:
    """Returns, for each batch, what a call takes, and what of it is the log's."""
    from capture.ledger import store
    from capture.pricing.prices import Prices

    prices, memory = Prices(), store.LedgerMemory()
    taken, of_log = [], []
    clock = LogClock()
    for batch in range(BATCHES):
        first = batch * BATCH
        entries = [
            entry(first + number, names_of(first + number), prices) for number in range(BATCH)
        ]
        begin = time.process_time_ns()
        store.record(entries, {"segment": batch}, memory)
        taken.append((time.process_time_ns() - begin) / BATCH / 1000)
        of_log.append(clock.read_ns() / BATCH / 1000)
    return taken[WARM_UP:], of_log[WARM_UP:]


class LogClock:
    """Adds up the CPU time of the log's methods."""

    def __init__(self) -> None:
        from capture.ledger.log.append import Log

        self._ns = 0
        for name in ("add_calls", "write"):
            setattr(Log, name, self._timed(getattr(Log, name)))

    def _timed(self, method: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: object) -> None:
            begin = time.process_time_ns()
            method(*arguments)
            self._ns += time.process_time_ns() - begin

        return timed

    def read_ns(self) -> int:
        """Returns the time since it was read last."""
        ns, self._ns = self._ns, 0
        return ns


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dsn = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'ledger.db'}"
        os.environ.update(AGENTLEDGER_DSN=dsn, DJANGO_SETTINGS_MODULE="agentledger_site.settings")
        import django
        from django.core.management import call_command

        django.setup()
        print("| Traffic | median, µs a call | least | of it the log |\n|---|---|---|---|")
        for names_of in (one_agent, many_agents, nothing_in_common):
            call_command("migrate", verbosity=0)
            taken, of_log = cpu_us_a_call(names_of)
            name = names_of.__name__.replace("_", " ")
            print(
                f"| {name} | {statistics.median(taken):.0f} | {min(taken):.0f}"
                f" | {statistics.median(of_log):.1f} |"
            )
            call_command("migrate", "capture", "zero", verbosity=0)


if __name__ == "__main__":
    main()
