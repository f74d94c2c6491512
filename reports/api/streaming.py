"""Responses that are made while they are sent, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request


def stream(
    request: Request | HttpRequest,
    chunks: Iterator[bytes],
    content_type: str,
    headers: Mapping[str, str] | None = None,
) -> HttpResponseBase:
    """Returns a response of these chunks. They are made in the request's own thread; when the
    client hangs up, no more are made."""
    first = next(chunks, b"")  # an error in the first chunk still has a status of its own
    if request.method == "HEAD":
        return HttpResponse(content_type=content_type, headers=headers)
    content = _in_thread(first, chunks)
    return StreamingHttpResponse(content, content_type=content_type, headers=headers)


async def _in_thread(first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yields chunks made in the request's own thread, which has its database connection."""
    yield first
    next_chunk = sync_to_async(partial(next, chunks, None))
    while (chunk := await next_chunk()) is not None:
        yield chunk
