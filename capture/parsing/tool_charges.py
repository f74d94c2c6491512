"""What a provider's tools are billed by, as far as only the tools of the request tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.anthropic import usage as anthropic_usage
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import grounding
from capture.wire.types import Usage

# For each wire format: the unit that depends on the request's tools, and what decides it.
_RULES: dict[str, tuple[str, Callable[[Usage, bytes], None]]] = {
    anthropic_messages.NAME: ("code_executions", anthropic_usage.drop_free_executions),
    gemini.NAME: ("web_searches", grounding.tell_other_searches),
}


def need_tools(wire_format: str, usage: Usage) -> bool:
    """Returns whether the tools that the request offered decide how this usage is billed."""
    rule = _RULES.get(wire_format)
    return rule is not None and rule[0] in usage.units


def settle(wire_format: str, usage: Usage, read_tools: Callable[[], Iterable[bytes]]) -> None:
    """Corrects the units of a usage by the tools that the request offered, which are read only
    where they matter."""
    if need_tools(wire_format, usage):
        _, decide = _RULES[wire_format]
        decide(usage, b"".join(read_tools()))
