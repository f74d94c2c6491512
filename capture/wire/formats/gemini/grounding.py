"""What Google bills for grounding a response, beside its tokens.

Up to Gemini 2.5 a prompt is billed once for Google Search and once for Google Maps, however often
the model searched; later models are billed by each distinct query that is not empty. Here queries
are counted, and the price says which it is. What Search and Maps bring into the prompt is not
billed; what URL context, file search and code execution bring is input as any other.

https://ai.google.dev/gemini-api/docs/pricing, https://cloud.google.com/vertex-ai/generative-ai/pricing
"""

from __future__ import annotations

import re

from capture.wire.json.fields import count, fields, objects
from capture.wire.limits import MAX_ITERATIONS, check
from capture.wire.shared.usage import add_unit
from capture.wire.types import JSON, Usage

# Steps of an interaction, and the types in the counts of its usage, by what is billed.
_STEPS = {"google_search_call": "web", "google_maps_call": "maps", "retrieval_call": "retrieval"}
_TYPES = {"google_search": "web", "google_maps": "maps", "retrieval": "retrieval"}
_UNITS = {"web": "web_searches", "maps": "map_searches", "retrieval": "retrieval_searches"}
# Steps of tools without a fee, whose tokens are billed.
_PLAIN_STEPS = frozenset(
    ("url_context_call", "code_execution_call", "file_search_call", "mcp_server_tool_call")
)

_OTHER_SEARCHES = re.compile(rb'"(?:enterprise_?Web|(?:parallel|exa)_?Ai)_?Search"', re.IGNORECASE)


class Grounding:
    """The searches of a response that comes in one piece or in many.

    `generateContent` and Live have their queries and their sources in `groundingMetadata`, where
    those of Search and Maps are told apart by the sources; interactions have a step for each.
    """

    def __init__(self) -> None:
        self._queries: dict[str, set[str]] = {}  # by what is billed
        self._counts: dict[str, int] = {}  # of an interaction's usage
        self._sources: set[str] = set()
        self._has_searched = False
        self._runs_plain_tools = False

    def add(self, candidate: dict[str, JSON]) -> None:
        """Adds what a candidate, or the content of a message of Live, says."""
        if "urlContextMetadata" in candidate:
            self._runs_plain_tools = True
        metadata = candidate.get("groundingMetadata")
        if not metadata or not isinstance(metadata, dict):
            return
        self._add_queries("web", metadata.get("webSearchQueries"))
        self._add_queries("web", metadata.get("imageSearchQueries"), "an image of ")
        self._add_queries("retrieval", metadata.get("retrievalQueries"))
        self._has_searched |= bool(metadata.get("searchEntryPoint"))
        if metadata.get("googleMapsWidgetContextToken"):
            self._sources.add("maps")
        for chunk in objects(metadata.get("groundingChunks")):
            self._sources |= chunk.keys() & {"web", "maps", "image"}
            if "retrievedContext" in chunk:
                self._add_retrieved(fields(chunk["retrievedContext"]))

    def add_code(self) -> None:
        """Notes that Google ran code, whose results are input."""
        self._runs_plain_tools = True

    def add_step(self, kind: JSON, arguments: JSON) -> None:
        """Adds a step of an interaction, or a piece of one."""
        if not isinstance(kind, str):
            return
        if billed := _STEPS.get(kind):
            self._queries.setdefault(billed, set())
            self._add_queries(billed, fields(arguments).get("queries"))
        self._runs_plain_tools |= kind in _PLAIN_STEPS

    def add_counts(self, counts: JSON) -> None:
        """Adds an interaction's own counts, which count more than its steps."""
        for tool in objects(counts):
            n = count(tool.get("count"))
            if n and (billed := _TYPES.get(str(tool.get("type")))):
                self._counts[billed] = n

    def _add_queries(self, billed: str, queries: JSON, prefix: str = "") -> None:
        if not isinstance(queries, list):
            return
        if found := {prefix + text for text in queries if isinstance(text, str) and text}:
            known = self._queries.setdefault(billed, set())
            known |= found
            check(len(known), MAX_ITERATIONS, "searches")

    def _add_retrieved(self, context: dict[str, JSON]) -> None:
        """Notes a piece of a document: file search has no fee, Vertex's searches have."""
        if context.get("fileSearchStore") or not (context.keys() & {"uri", "documentName"}):
            self._runs_plain_tools = True
        else:
            self._queries.setdefault("retrieval", set())

    def set_units(self, usage: Usage, tool_tokens: JSON) -> None:
        """Sets the searches that are billed, and how many of the tokens that tools brought in are
        free. `uncounted_searches`: there was a search whose queries are not told."""
        searches = self._searches()
        for billed, n in searches.items():
            usage.units[_UNITS[billed]] = max(n, 1)
            if not n:
                usage.units["uncounted_searches"] = 1
        if searches.keys() & {"web", "maps"}:
            mixed = self._runs_plain_tools or "retrieval" in searches
            add_unit(usage, "unsplit_tool_tokens" if mixed else "grounding_tokens", tool_tokens)

    def _searches(self) -> dict[str, int]:
        """Returns the number of searches by what is billed; 0 where it cannot be told."""
        found = {billed: len(queries) for billed, queries in self._queries.items()}
        found |= self._counts
        if self._has_searched:
            found.setdefault("web", 0)
        if "maps" in self._sources:
            # URL context brings pages too.
            pages = self._sources & {"web", "image"} and not self._runs_plain_tools
            # Where both were used, whose the queries are cannot be told.
            both = self._has_searched or pages
            found["maps"] = 0 if both else found.pop("web", 0)
        return found


def tell_other_searches(usage: Usage, tools: bytes) -> None:
    """Tells Vertex's other searches of the web, of another price or another company, from Google
    Search: only the request's tools do."""
    if _OTHER_SEARCHES.search(tools):
        usage.units["other_searches"] = usage.units.pop("web_searches")
