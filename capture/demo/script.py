"""The demo run's lines: what its agents ask, and what the stand-in provider says to it."""

from typing import Any

from capture.demo.reply import ParsedRequest, Reply, ToolUse, arguments_for

PLAN = "Make a one-page guide to a rainy weekend in Lisbon for two. Who does what?"
WEATHER = "What will the weather in Lisbon be like this weekend?"
PLACES = "Which places in Lisbon are good when it rains?"
GUIDE = "Write the guide from the researcher's notes. Warm, short, no lists."
REVIEW = "Check the guide against the notes. Is it ready to send?"

LINES = {
    PLAN: (
        "Two hand-overs. The researcher finds out how wet it gets and which places are worth a "
        "visit indoors. The writer turns those notes into one page. I check the page before it "
        "goes out."
    ),
    WEATHER: (
        "Saturday: rain until about 15:00, then dry, 17 degrees. Sunday: showers all day, 16 "
        "degrees. An umbrella is enough, it stays mild."
    ),
    PLACES: (
        "Three that fit: the tile museum in a former convent, the Gulbenkian collection with its "
        "garden hall, and the Time Out market for a long lunch. All are a tram ride apart."
    ),
    GUIDE: (
        "Let it rain. Start Saturday among five centuries of painted tiles, in a convent so quiet "
        "that you hear the drops outside. By three the sky clears: take tram 28 up to the castle. "
        "Sunday belongs to the Gulbenkian and its garden hall, and to a long lunch at the market, "
        "where nobody minds a wet umbrella."
    ),
    REVIEW: (
        "Yes. The weather matches the forecast, all three places are in the notes, and nothing was "
        "made up. Ready to send."
    ),
}
CHARACTERS_PER_TOKEN = 4  # near enough to what models count for English


def reply_to(parsed_request: ParsedRequest, *, n_bytes: int) -> Reply:
    """The first tool on offer as long as none was used, then a text. `n_bytes`: of the request."""
    tool = _tool_use(parsed_request)
    text = "" if tool else LINES.get(parsed_request.user_text) or _plain_response(parsed_request)
    said = tool.arguments_json if tool else text
    return Reply(text, tool, _tokens(n_bytes), _tokens(len(said)))


def _tool_use(parsed_request: ParsedRequest) -> ToolUse | None:
    if not parsed_request.tools or parsed_request.tool_result is not None:
        return None
    tool = parsed_request.tools[0]
    arguments: dict[str, Any] = arguments_for(tool.parameters, parsed_request.user_text)
    return ToolUse(tool.name, arguments)


def _plain_response(parsed_request: ParsedRequest) -> str:
    if parsed_request.tool_result is not None:
        return f"The tool says: {parsed_request.tool_result[:500]}"
    return f"This is the demo provider, not a model. You wrote: {parsed_request.user_text[:500]}"


def _tokens(n_characters: int) -> int:
    return max(1, n_characters // CHARACTERS_PER_TOKEN)
