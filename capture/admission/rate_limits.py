"""Rate limits: so many requests in any 60 seconds, exactly. There is no window that begins anew, at
whose edge twice as many could pass."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from agentledger_site.conf import Config
from capture.admission.decision import AdmissionRequest, Refused

WINDOW_S = 60


class Limit(NamedTuple):
    """A limit of one key."""

    of: str  # "all" | "session" | "agent" | "user"
    key: str | None  # the session, agent or user; None: all calls
    n: int

    @property
    def name(self) -> str:
        return "rate_limit_rpm" if self.of == "all" else f"rate_limit_{self.of}_rpm"


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests in 60 seconds; None: no limit."""

    overall: int | None = None
    session: int | None = None
    agent: int | None = None
    user: int | None = None

    @classmethod
    def from_config(cls, config: Config) -> Limits:
        return cls(
            config.rate_limit_rpm,
            config.rate_limit_session_rpm,
            config.rate_limit_agent_rpm,
            config.rate_limit_user_rpm,
        )

    def of(
        self, session_id: str | None, agent_name: str | None, user_id: str | None
    ) -> list[Limit]:
        """Those that a call is under. A call that names no session is under no session's limit."""
        found = []
        if self.session is not None and session_id is not None:
            found.append(Limit("session", session_id, self.session))
        if self.agent is not None and agent_name is not None:
            found.append(Limit("agent", agent_name, self.agent))
        if self.user is not None and user_id is not None:
            found.append(Limit("user", user_id, self.user))
        if self.overall is not None:
            found.append(Limit("all", None, self.overall))
        return found

    def of_call(self, asking: AdmissionRequest) -> list[Limit]:
        return self.of(asking.session_id, asking.agent_name, asking.user_id)


def refusal(limit: Limit, wait_s: float, now: datetime) -> Refused:
    whose = "" if limit.key is None else f" of {limit.of} {limit.key}"
    return Refused(
        status=429,
        code="rate_limited",
        message=(
            f"The rate limit{whose} of {limit.n} requests in {WINDOW_S} seconds is reached;"
            f" the next one passes in {wait_s:.3f} s."
        ),
        retry_after_s=wait_s,
        may_retry=True,
        facts={
            "rate_limit": limit.of,
            "key": limit.key,
            "used": limit.n,
            "limit": limit.n,
            "resets_at": (now + timedelta(seconds=wait_s)).isoformat(),
        },
    )


class Windows:
    """When the last calls of each key were, as many as its limit is: the call that comes now may
    pass if the first of them is 60 seconds ago. Keys without a call in the window leave."""

    def __init__(self) -> None:
        # The key of the latest call is last.
        self._calls: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def wait_s(self, limit: Limit, now: float) -> float:
        """How long until a call of this key passes; 0 or less: it passes now."""
        calls = self._calls.get((limit.of, limit.key))
        if calls is None or len(calls) < limit.n:
            return 0.0
        return calls[0] + WINDOW_S - now

    def count(self, limit: Limit, now: float) -> None:
        key = (limit.of, limit.key)
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = deque(maxlen=limit.n)
        else:
            self._calls.move_to_end(key)
        calls.append(now)
        oldest = next(iter(self._calls))
        while self._calls[oldest][-1] <= now - WINDOW_S:
            del self._calls[oldest]
            oldest = next(iter(self._calls))

    def used(self, limit: Limit, now: float) -> tuple[int, float | None]:
        """The calls in the window, and in how many seconds the first of them leaves it."""
        calls = self._calls.get((limit.of, limit.key), ())
        within = [at for at in calls if at > now - WINDOW_S]
        return len(within), within[0] + WINDOW_S - now if within else None
