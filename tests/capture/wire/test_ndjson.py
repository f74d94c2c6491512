from __future__ import annotations

import pytest

from capture.wire.framing import json_array, ndjson


@pytest.mark.parametrize(
    ("body", "ends", "unread"),
    [
        (b"", [], []),
        (b'{"a":1}', [7], []),
        (b'{"a":1}\n{"a":2}\n', [8, 16], []),
        (b'\xef\xbb\xbf{"a":1}\r\n\r\n{"a":2}\r\n', [12, 23], []),
        (b'{"a":1}\n7\n{"a', [8], [10, 13]),
        ('{"a":"\u2028\x85"}\n'.encode(), [14], []),
    ],
)
def test_lines_are_split(body: bytes, ends: list[int], unread: list[int]) -> None:
    found: list[int] = []
    assert [end for _, end in ndjson.read_objects(body, found)] == ends
    assert found == unread


@pytest.mark.parametrize(
    ("body", "content_type", "is_stream"),
    [
        (b"", "application/x-ndjson", True),
        (b'{"a":1}\n', "Application/X-NDJSON; charset=utf-8", True),
        (b'{"a":1}\r\n{"a":1}', "application/json", True),
        (b'{"a":1}\n\n{"a":1}', "", True),
        (b'{"a":1}\n', "application/json", False),
        (b'{"a":1}', "application/json", False),
        (b'{\n{"a":1}', "application/json", False),
        (b'[\n{"a":1}]', "application/json", False),
        (b"<html>\n{}", "text/html", False),
    ],
)
def test_lines_are_distinguished_from_plain_responses(
    body: bytes, content_type: str, is_stream: bool
) -> None:
    assert ndjson.is_stream(body, content_type) is is_stream


@pytest.mark.parametrize(
    ("body", "ends", "unread"),
    [
        (b"", [], []),
        (b"[", [], []),
        (b"[]", [], []),
        (b'[{"a":1}]', [8], []),
        (b'[{"a":1}\n,\r\n{"a":2}\n]\n', [8, 19], []),
        (b'[{"a":1},[{"a":2}],7 , {}]', [8, 25], [18, 20]),
        (b'[{"a":1} \n,\r\n7\n,\r\n{"a":2}, {}\n]', [8, 25, 29], [14]),
        (b'[{"a":1}\n,\r\n{"a":[1\n,\r\n2]}\n,\r\n{}\n]', [8, 26, 32], []),
        (b'[{"a":1}\n,\r\n{"a":[1\n,\r\n2]}\n,\r\n{}\n', [8, 26, 32], []),
        (b'[{"a":1}\n,\r\n{"a":{"b":"}', [8], [24]),
        (rb'[{"a":"\"}\\"},{"a":"\\', [14], [23]),
        (b'[{"a":1},{"a":NaN}', [8, 18], []),
        (b'\xef\xbb\xbf [{"a":"\xff"}]', [14], []),
        (b'[}}{"a":1}', [10], []),
    ],
)
def test_array_is_read_as_far_as_it_came(body: bytes, ends: list[int], unread: list[int]) -> None:
    found: list[int] = []
    assert [end for _, end in json_array.read_objects(body, found)] == ends
    assert found == unread
