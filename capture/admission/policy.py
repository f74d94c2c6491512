"""What operators forbid for good: agents without the ingest key, models by their names."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

from capture.admission.decision import Refused

KEY_HEADER = b"x-agentledger-ingest-key"


class IngestKey:
    """The key that agents must send."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def refusal(self, headers: Sequence[tuple[bytes, bytes]]) -> Refused | None:
        shown = next((value for name, value in headers if name == KEY_HEADER), b"")
        if hmac.compare_digest(shown.strip(), self._key):
            return None
        return Refused(
            status=401,
            code="ingest_key_missing" if not shown else "ingest_key_wrong",
            message=f"the ingest key is {'wrong' if shown else 'missing'}: send it as"
            f" {KEY_HEADER.decode()}",
            retry_after_s=None,
            may_retry=False,
        )


class ModelPolicy:
    """Globs over the models' names, in any case. `allow` empty: all but those denied."""

    def __init__(self, *, allow: Sequence[str], deny: Sequence[str]) -> None:
        self._allow = [_Glob(pattern) for pattern in allow]
        self._deny = [_Glob(pattern) for pattern in deny]
        # Names come from agents: those that are odd are many, and bounded here.
        self._judged = lru_cache(1024)(self._judge)

    def refusal(self, models: tuple[str, ...]) -> Refused | None:
        """Of a call that names these: one of them will answer, so each must be allowed. A call
        whose model cannot be told is no denied one, and no allowed one."""
        if not models and self._allow:
            return _refused("model_not_allowed", None, "the call names no model that can be told")
        return next(filter(None, map(self._judged, models)), None)

    def _judge(self, model: str) -> Refused | None:
        name = model.lower()
        for glob in self._deny:
            if glob.matches(name):
                return _refused("model_denied", model, f"model {model[:200]!r} is denied")
        if self._allow and not any(glob.matches(name) for glob in self._allow):
            return _refused("model_not_allowed", model, f"model {model[:200]!r} is not allowed")
        return None


class _Glob:
    def __init__(self, pattern: str) -> None:
        self.matches = re.compile(translate(pattern.lower())).match


def _refused(code: str, model: str | None, message: str) -> Refused:
    return Refused(
        status=403,
        code=code,
        message=message,
        retry_after_s=None,
        may_retry=False,
        facts={"key": model[:200] if model else None},
    )
