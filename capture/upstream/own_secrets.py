"""Keys, tokens and cookies of AgentLedger, which no upstream may see.

Agents, pages and people use one address for the proxy and for what they read, so a request for the
provider may carry what was meant for us: a cookie that a browser adds, a key in the address of the
page before, a token in the wrong header. All else stays byte for byte; bodies are not looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from access import tokens
from capture.upstream.headers import RawHeaders, is_own_cookie

_token = re.compile(rb"(?<![\w-])" + tokens.SECRET.pattern.encode() + rb"(?![\w-])")
# Of what may have one of ours in it: a token, a password of the scheme Basic, our parameter.
_find_sign = re.compile(rb"al(?:_|%5[Ff])|asic |ASIC |api_key=").search
_parameter = re.compile(rb"(^|[&;])([^&;]*)")

# Headers that have parts of their own, or hide a value in an encoding.
_WITH_PARTS = frozenset((b"cookie", b"referer", b"sec-websocket-protocol"))
_SCHEMES = frozenset((b"bearer", b"token", b"key", b"apikey", b"api-key"))
# They are for us, are never forwarded, and leave only their names in the record.
_OUR_HEADERS = (b"x-agentledger-ingest-key", b"x-agentledger-api-key")
# A link may have been encoded twice, by a page and by a redirect.
_MAX_DECODINGS = 3


class OwnSecrets:
    """`keys` are the values that count as ours besides tokens, which are known by their form."""

    def __init__(self, keys: Iterable[str | None]) -> None:
        self._keys = frozenset(key.encode() for key in keys if key)

    def remove(self, headers: RawHeaders, target: bytes) -> tuple[RawHeaders, bytes]:
        """Returns the headers and the target of a request without what is ours in them. Nearly all
        requests have nothing of it, and are found out at once."""
        if not self._may_be_in(headers, target):
            return headers, target
        return list(self._clean_headers(headers)), self._clean_url(target)

    def are_in(self, subprotocol: str) -> bool:
        """Returns whether a WebSocket's subprotocol has one in it: OpenAI's take a key after a dot,
        since pages can set no headers there."""
        name = subprotocol.encode(errors="replace")
        return self._is_ours(name) or name.partition(b".")[2] in self._keys

    def _may_be_in(self, headers: RawHeaders, target: bytes) -> bool:
        by_name = dict(headers)
        if not by_name.keys().isdisjoint(_WITH_PARTS):
            return True
        is_each_there = len(by_name) == len(headers)
        values = by_name.values() if is_each_there else [value for _, value in headers]
        text = b"\n".join((target, *values))
        if _find_sign(text) is not None or any([key in text for key in self._keys]):
            return True
        return b"%" in target and b"%" in target.partition(b"?")[2]

    def _clean_headers(self, headers: RawHeaders) -> Iterable[tuple[bytes, bytes]]:
        for name, value in headers:
            if name in _OUR_HEADERS:
                yield name, value
            elif name == b"cookie":
                cookies = self._clean_cookies(value)
                if cookies or cookies == value:
                    yield name, cookies
            elif not self._is_credential(value):
                yield name, self._clean_url(value)

    def _clean_cookies(self, value: bytes) -> bytes:
        pairs = value.split(b";")
        kept = [pair for pair in pairs if not self._is_own_pair(pair)]
        return value if len(kept) == len(pairs) else b";".join(kept).lstrip()

    def _is_own_pair(self, pair: bytes) -> bool:
        name, _, value = pair.partition(b"=")
        return is_own_cookie(name.strip()) or self._is_ours((value or name).strip(b' "'))

    def _is_credential(self, value: bytes) -> bool:
        """Returns whether a header's value is a key of ours, with or without a scheme before it."""
        value = value.strip()
        scheme, _, secret = value.partition(b" ")
        scheme = scheme.lower()
        if scheme == b"basic":
            try:
                pair = base64.b64decode(secret)
            except binascii.Error:
                return False
            user, _, password = pair.partition(b":")
            return any(self._is_ours(part) for part in (pair, user, password))
        words = (value, secret.strip()) if scheme in _SCHEMES else (value,)
        return any(word in self._keys or _token.fullmatch(word) for word in words)

    def _clean_url(self, url: bytes) -> bytes:
        """Returns a URL, or a text that is none, without tokens and parameters of ours."""
        before, mark, query = url.partition(b"?")
        before = _token.sub(b"", before)
        if b"%" in before:
            segments = before.split(b"/")
            kept_segments = [
                b"" if _token.search(unquote_to_bytes(one)) else one for one in segments
            ]
            before = b"/".join(kept_segments)
        if not mark:
            return before
        found: list[tuple[bytes, bytes]] = _parameter.findall(query)
        kept = [pair for pair in found if not self._is_own_parameter(pair[1])]
        if len(kept) == len(found):
            return before + mark + query
        rest = b"".join(separator + parameter for separator, parameter in kept)
        if found[0] not in kept[:1]:
            rest = rest[1:]  # the separator after what was the first
        return before + mark + rest if rest else before

    def _is_own_parameter(self, parameter: bytes) -> bool:
        name, _, value = parameter.partition(b"=")
        value = value or name
        for _ in range(_MAX_DECODINGS):
            if self._is_ours(value) or self._is_ours(value.replace(b"+", b" ")):
                return True
            value = unquote_to_bytes(value)
        return False

    def _is_ours(self, value: bytes) -> bool:
        return value in self._keys or _token.search(value) is not None


def without_tokens(path: str) -> str:
    """Returns a decoded path without tokens, for the record."""
    if "al_" not in path:
        return path
    return _token.sub(b"", path.encode(errors="surrogatepass")).decode(errors="surrogatepass")
