"""What /readyz says of checkpoints and anchors, as the sinks' process reported them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def why_without_evidence(state: dict[str, Any]) -> Iterator[str]:
    """Yields the reasons for which the log is not signed, or not held elsewhere. None of them
    concerns calls."""
    if state.get("reason"):
        yield f"no checkpoint is made: {state['reason']}"
    for anchor in state.get("anchors", ()):
        if anchor["is_failing"]:
            yield (
                f"the anchor {anchor['name']} has no checkpoint after {anchor['size']} entries:"
                f" {anchor['failure']}"
            )
