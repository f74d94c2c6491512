"""The texts of the demo run: its agents' requests, and the stand-in provider's replies."""

from typing import Any

from capture.demo.reply import DemoRequest, Reply, ToolUse, arguments_for

PLAN = "Make a one-page guide to a rainy weekend in Lisbon for two. Who does what?"
WEATHER = "What will the weather in Lisbon be like this weekend?"
PLACES = "Which places in Lisbon are good when it rains?"
GUIDE = "Write the guide from the researcher's notes. Warm, short, no lists."
REVIEW = "Check the guide against the notes. Is it ready to send?"

LINES = {
    PLAN: (
        "Two handoffs. The researcher finds out how wet it gets and which places are worth a "
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
CHARACTERS_PER_TOKEN = 4  # about what models count for English


def reply_to(request: DemoRequest, *, n_bytes: int) -> Reply:
    """Uses the first tool until it has a result, then replies with a text. `n_bytes` is the size of
    the request."""
    tool = _tool_use(request)
    text = "" if tool else LINES.get(request.user_text) or _plain_response(request)
    output = tool.arguments_json if tool else text
    return Reply(text, tool, _tokens(n_bytes), _tokens(len(output)))


def _tool_use(request: DemoRequest) -> ToolUse | None:
    if not request.tools or request.tool_result is not None:
        return None
    tool = request.tools[0]
    arguments: dict[str, Any] = arguments_for(tool.parameters, request.user_text)
    return ToolUse(tool.name, arguments)


def _plain_response(request: DemoRequest) -> str:
    if request.tool_result is not None:
        return f"The tool says: {request.tool_result[:500]}"
    return f"This is the demo provider, not a model. You wrote: {request.user_text[:500]}"


def _tokens(n_characters: int) -> int:
    return max(1, n_characters // CHARACTERS_PER_TOKEN)
