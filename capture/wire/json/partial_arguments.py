"""Assembles the arguments of a function call that Vertex streams value by value.

https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling, under
`streamFunctionCallArguments`: `{"jsonPath": "$.a.b[0]", "stringValue": "…", "willContinue": true}`.
"""

from __future__ import annotations

import re
from itertools import islice, zip_longest

from capture.wire.json.fields import text
from capture.wire.limits import MAX_STEPS
from capture.wire.types import JSON

_step = re.compile(r"""\.([^.\[]+)|\[([0-9]{1,9})\]|\['([^']*)'\]|\["([^"]*)"\]""")


class PartialArguments:
    def __init__(self) -> None:
        self._values: dict[str, JSON] = {}  # by path
        self._texts: dict[str, list[str]] = {}

    def add(self, piece: dict[str, JSON]) -> None:
        path = text(piece.get("jsonPath") or piece.get("json_path")) or ""
        for name, value in piece.items():
            if name in ("stringValue", "string_value") and isinstance(value, str):
                self._texts.setdefault(path, []).append(value)
                self._values[path] = None  # keeps its position
            elif name in ("numberValue", "number_value", "boolValue", "bool_value"):
                self._values[path] = value
            elif name in ("nullValue", "null_value"):
                self._values[path] = None

    def assemble(self) -> dict[str, JSON]:
        top: dict[str, JSON] = {}
        for path, value in self._values.items():
            pieces = self._texts.get(path)
            _put(top, path, value if pieces is None else "".join(pieces))
        return top


def _put(top: dict[str, JSON], path: str, value: JSON) -> None:
    steps: list[str | int] = []
    for step in islice(_step.finditer(path), MAX_STEPS):
        steps.append(int(step[2]) if step[2] else step[1] or step[3] or step[4] or "")
    container: JSON = top
    for step_here, step_next in zip_longest(steps, steps[1:]):
        new: JSON = value if step_next is None else [] if isinstance(step_next, int) else {}
        if isinstance(container, dict):
            key = str(step_here)
            if step_next is None:
                container[key] = new
            container = container.setdefault(key, new)
        elif isinstance(container, list):
            # The values come in order, so an index beyond the next one would be a mistake.
            index = step_here if isinstance(step_here, int) else len(container)
            if index >= len(container):
                container.append(new)
                index = len(container) - 1
            elif step_next is None:
                container[index] = new
            container = container[index]
        else:
            return
