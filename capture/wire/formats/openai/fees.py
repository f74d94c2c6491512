"""Counts what a response is billed beside its tokens: searches, containers, images that tools made.

OpenAI has most of it as items of the output, https://developers.openai.com/api/docs/pricing; other
providers of this shape count it in the usage. The counts have the units' names of genai-prices and
of capture/pricing/charges.toml, which has the prices. What a provider runs for free (MCP, computer
use) is not counted, and a tool that is only declared neither.
"""

from __future__ import annotations

from collections.abc import Iterable

from capture.wire.json.fields import fields, number, objects, text
from capture.wire.types import JSON

Counts = dict[str, float]

# Fields of a usage that count calls of tools, each an object of names and counts.
_COUNTERS = frozenset(
    (
        "server_side_tool_usage_details",  # xAI: {"web_search_calls": 2}
        "server_side_tool_usage",  # its SDK: {"SERVER_SIDE_TOOL_WEB_SEARCH": 2}
        "server_tool_use",  # OpenRouter, LiteLLM: {"web_search_requests": 2}
        "tool_calls_details",  # Perplexity: {"search_web": {"invocation": 2}}
        "plugins",  # DashScope: {"search": {"count": 1, "strategy": "turbo"}}
        "x_tools",  # DashScope's Responses: {"web_search": {"count": 1}}
        "tool_usage",  # Volcengine: {"web_search": 2}
        "connectors",  # Mistral: {"web_search": 1}
    )
)
# All that is read here of a usage and its details.
_NAMES = _COUNTERS | {
    *("num_search_queries", "web_search_requests", "citation_tokens", "search_context_size"),
    *("num_sources_used", "num_server_side_tools_used"),
}
_COUNTS = ("invocation", "count", "num_requests")
_AFFIXES = ("_calls", "_requests", "_call")

UNKNOWN_TOOL = "other_tool_calls"
_UNITS = {
    "web_search": "web_searches",
    "search_web": "web_searches",
    "search": "web_searches",
    "x_search": "social_searches",
    "file_search": "storage_searches",
    "collections_search": "storage_searches",
    "attachment_search": "attachment_searches",
    "document_search": "attachment_searches",
    "code_interpreter": "code_executions",
    "code_execution": "code_executions",
    "python": "code_executions",
    "image_generation": "generated_images",
    "fetch_url": "page_visits",
    "visit": "page_visits",
    "x_posts_fetched": "x_posts",
    "x_users_fetched": "x_users",
}
# https://docs.x.ai/developers/pricing: billed by their tokens alone. So is what an agent runs.
_FREE = frozenset(
    """mcp view_image view_x_video web_fetch tool_search tool_calls_requested tool_calls_executed
    function""".split()
)
_CONTEXT_SIZES = ("low", "medium", "high")


def of_usage(raw: dict[str, JSON]) -> Counts:
    """Counts what a usage has beside tokens."""
    prompt = fields(raw.get("prompt_tokens_details"))
    completion = fields(raw.get("completion_tokens_details") or raw.get("output_tokens_details"))
    if all(map(_NAMES.isdisjoint, (raw, prompt, completion))):
        return {}
    counts = merged(*(_of_counters(fields(raw[name])) for name in _COUNTERS if name in raw))
    for searches in (
        raw.get("num_search_queries"),  # Perplexity
        completion.get("num_search_queries"),  # Bifrost
        prompt.get("web_search_requests"),  # LiteLLM
    ):
        _raise(counts, "web_searches", searches)
    _raise(counts, "citation_tokens", raw.get("citation_tokens", completion.get("citation_tokens")))
    size = raw.get("search_context_size")
    if isinstance(size, str) and size in _CONTEXT_SIZES:  # Perplexity's price of a request
        counts[f"{size}_context_requests"] = 1
    if not counts_tools(raw):
        _raise(counts, "live_search_sources", raw.get("num_sources_used"))  # xAI's older search
        _raise(counts, UNKNOWN_TOOL, raw.get("num_server_side_tools_used"))
    if "x_posts" in counts or "x_users" in counts:  # xAI bills them in place of the searches
        counts.pop("social_searches", None)
    return counts


def counts_tools(raw: dict[str, JSON]) -> bool:
    """Returns True if the usage has counts of tools: those are billed, not the items."""
    return not _COUNTERS.isdisjoint(raw) and any(fields(raw.get(name)) for name in _COUNTERS)


def of_items(items: Iterable[dict[str, JSON]], tools: JSON) -> Counts:
    """Counts the items of a response's output. `tools` are those that the response names."""
    counts: Counts = {}
    containers = set[str | None]()
    for item in items:
        kind = item.get("type")
        if item.get("status") == "failed":
            continue
        if kind == "web_search_call":
            # Opening a page and searching in it are free.
            if fields(item.get("action")).get("type", "search") == "search":
                _add(counts, "web_searches", 1)
        elif kind == "file_search_call":
            _add(counts, "storage_searches", 1)
        elif kind == "image_generation_call":
            _add(counts, "generated_images", 1)
        elif kind == "code_interpreter_call":
            containers.add(text(item.get("container_id")))
        elif kind == "shell_call" and (container := _container_of(item)):
            containers.add(container)
    if containers:  # several calls in one container are one session
        counts["container_sessions"] = len(containers)
    if "web_searches" in counts and _is_preview(tools):
        counts["preview_web_searches"] = counts["web_searches"]
    return counts


def _container_of(item: dict[str, JSON]) -> str | None:
    """Returns the container of a shell that OpenAI hosts; an agent's own shell has none."""
    return text(fields(item.get("environment")).get("container_id"))


def _is_preview(tools: JSON) -> bool:
    kinds = [kind for tool in objects(tools) if (kind := text(tool.get("type")))]
    searches = [kind for kind in kinds if kind.startswith("web_search")]
    return bool(searches) and all(kind.startswith("web_search_preview") for kind in searches)


def of_chat(
    model: str | None, searched: JSON, called: list[str | None], executed: list[dict[str, JSON]]
) -> Counts:
    """Counts what a chat completion has beside its usage: `searched` are Z.ai's results of a
    search, `called` the names of the tools that the model calls, `executed` those that Groq ran."""
    counts = _of_executed_tools(executed) if executed else {}
    if model and ("-search-preview" in model or "-search-api" in model):
        # https://developers.openai.com/api/docs/guides/tools-web-search: they always search.
        counts["web_searches"] = 1
    if searched and isinstance(searched, list):
        counts["web_searches"] = 1
    if "$web_search" in called:  # Moonshot's: https://platform.kimi.ai/docs/pricing/tools
        counts["web_searches"] = called.count("$web_search")
    return counts


def _of_executed_tools(executed: list[dict[str, JSON]]) -> Counts:
    """In a stream, each comes twice: once without its output."""
    counts: Counts = {}
    seen = set[JSON]()
    for tool in executed:
        index, kind = tool.get("index"), text(tool.get("type"))
        if not isinstance(index, int):
            index = len(seen)
        if kind and index not in seen:
            seen.add(index)
            _add_tool(counts, kind, 1)
    return counts


_MARKS = (
    b'"web_search_call"',
    b'"file_search_call"',
    b'"code_interpreter_call"',
    b'"shell_call"',
    b'"image_generation_call"',
    b'"executed_tools"',
    b'"$web_search"',
)


def may_be_in(body: bytes) -> bool:
    """Returns True if a body that is too large to be parsed may have what is counted here."""
    return any(mark in body for mark in _MARKS)


def merged(*found: Counts) -> Counts:
    """Returns the highest count of each unit: of counts that may be of the same calls."""
    counts: Counts = {}
    for each in found:
        for unit, n in each.items():
            counts[unit] = max(n, counts.get(unit, 0))
    return counts


def _of_counters(counters: dict[str, JSON]) -> Counts:
    counts: Counts = {}
    for tool, value in counters.items():
        _add_tool(counts, tool, value)
    return counts


def _add_tool(counts: Counts, tool: str, value: JSON) -> None:
    if isinstance(value, dict):
        value = next((value[name] for name in _COUNTS if name in value), None)
    name = tool.lower().removeprefix("server_side_tool_")
    for affix in _AFFIXES:
        name = name.removesuffix(affix)
    if name not in _FREE:
        _add(counts, _UNITS.get(name, UNKNOWN_TOOL), value)


def _add(counts: Counts, unit: str, value: JSON) -> None:
    n = number(value)
    if n is not None and n > 0:
        counts[unit] = counts.get(unit, 0) + (int(n) if n.is_integer() else n)


def _raise(counts: Counts, unit: str, value: JSON) -> None:
    n = number(value)
    if n is not None and n > counts.get(unit, 0):
        counts[unit] = int(n) if n.is_integer() else n
