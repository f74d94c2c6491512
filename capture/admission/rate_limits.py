"""Rate limits: a number of requests in any 60 seconds, counted exactly. The window slides: with
windows that start anew, twice as many could pass around their edge."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from capture.admission.decision import Keys, Refused

WINDOW_S = 60


class Limit(NamedTuple):
    """A limit as it applies to one key."""

    scope: str  # "all" | "session" | "agent" | "user"
    key: str | None  # the session, agent or user; None: all calls
    n: int

    @property
    def name(self) -> str:
        return "rate_limit_rpm" if self.scope == "all" else f"rate_limit_{self.scope}_rpm"


@dataclass(frozen=True, slots=True)
class Limits:
    """The configured limits in requests per 60 seconds; None: no limit."""

    overall: int | None = None
    session: int | None = None
    agent: int | None = None
    user: int | None = None

    @classmethod
    def from_settings(cls) -> Limits:
        config = settings.AGENTLEDGER
        return cls(
            config.rate_limit_rpm,
            config.rate_limit_session_rpm,
            config.rate_limit_agent_rpm,
            config.rate_limit_user_rpm,
        )

    def applicable(self, keys: Keys) -> list[Limit]:
        """Returns the limits that a call with these keys is under. A call that names no session is
        under no session's limit, and so on."""
        found = []
        if self.session is not None and keys.session_id is not None:
            found.append(Limit("session", keys.session_id, self.session))
        if self.agent is not None and keys.agent_name is not None:
            found.append(Limit("agent", keys.agent_name, self.agent))
        if self.user is not None and keys.user_id is not None:
            found.append(Limit("user", keys.user_id, self.user))
        if self.overall is not None:
            found.append(Limit("all", None, self.overall))
        return found


def rate_limit_refusal(limit: Limit, wait_s: float, now: datetime) -> Refused:
    whose = "" if limit.key is None else f" of {limit.scope} {limit.key}"
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
            "rate_limit": limit.scope,
            "key": limit.key,
            "used": limit.n,
            "limit": limit.n,
            "resets_at": (now + timedelta(seconds=wait_s)).isoformat(),
        },
    )


class CallWindows:
    """The times of each key's last calls, as many as its limit is: a new call may pass if the first
    of them was 60 seconds ago. Keys without a call in the window are forgotten."""

    def __init__(self) -> None:
        # Ordered by the latest call of each key, the most recent last.
        self._calls: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def wait_s(self, limit: Limit, now: float) -> float:
        """Returns how long until a call of this key may pass; 0 or less: it may pass now."""
        calls = self._calls.get((limit.scope, limit.key))
        if calls is None or len(calls) < limit.n:
            return 0.0
        return calls[0] + WINDOW_S - now

    def count(self, limit: Limit, now: float) -> None:
        key = (limit.scope, limit.key)
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

    def usage(self, limit: Limit, now: float) -> tuple[int, float | None]:
        """Returns the number of calls in the window, and in how many seconds the first of them
        leaves it; None: there is none."""
        calls = self._calls.get((limit.scope, limit.key), ())
        within = [at for at in calls if at > now - WINDOW_S]
        return len(within), within[0] + WINDOW_S - now if within else None
