"""The models that operators allow and deny, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

from capture.admission.decision import Refused

UNKNOWN = "the model of the call cannot be determined"
WHAT_TO_SEND = "send a body that is complete JSON or a form, without an unusual content-encoding"


class ModelPolicy:
    """`allow` and `deny` are globs over model names, in any case. An empty `allow` admits all
    models that are not denied."""

    def __init__(self, *, allow: Sequence[str], deny: Sequence[str]) -> None:
        self._allow = [_Glob(pattern) for pattern in allow]
        self._deny = [_Glob(pattern) for pattern in deny]
        # Bounded, since agents can make up any number of names.
        self._cached_refusal = lru_cache(1024)(self._refusal_of)

    def refusal(self, models: tuple[str, ...], *, unread: str | None = None) -> Refused | None:
        """`models` are those that the call names: any of them may respond, so each must be allowed.
        `unread` says why there may be others: then none of them is known to be allowed. A call that
        names no model is not denied, but not allowed either."""
        refused = next(filter(None, map(self._cached_refusal, models)), None)
        if refused is None and unread is not None:
            return _refusal("model_unknown", None, f"{UNKNOWN}: {unread}; {WHAT_TO_SEND}")
        if refused is None and not models and self._allow:
            return _refusal("model_not_allowed", None, UNKNOWN)
        return refused

    def _refusal_of(self, model: str) -> Refused | None:
        name = model.lower()
        for glob in self._deny:
            if glob.matches(name):
                return _refusal("model_denied", model, f"model {model[:200]!r} is denied")
        if self._allow and not any(glob.matches(name) for glob in self._allow):
            return _refusal("model_not_allowed", model, f"model {model[:200]!r} is not allowed")
        return None


class _Glob:
    def __init__(self, pattern: str) -> None:
        self.matches = re.compile(translate(pattern.lower())).match


def _refusal(code: str, model: str | None, message: str) -> Refused:
    return Refused(
        status=403,
        code=code,
        message=message,
        retry_after_s=None,
        may_retry=False,
        facts={"key": model[:200] if model else None},
    )
