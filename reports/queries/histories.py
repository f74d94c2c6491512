"""The messages of many calls, as JSON. A call's history mostly is that of a call before it and some
more, perhaps without its beginning: it is cut out of the longest, which is put together once. At
500 calls of 200 messages, to join each of these histories took 14 ms, to cut them out 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple


class History:
    """Messages that followed one another, by reference."""

    def __init__(self, refs: Sequence[int], text: Callable[[int], bytes]) -> None:
        self.refs = list(refs)
        self._text = text

    @cached_property
    def _joined(self) -> tuple[memoryview, list[int]]:
        """With a comma between them, and where each begins."""
        texts = list(map(self._text, self.refs))
        begins = list(accumulate((len(text) + 1 for text in texts), initial=0))
        return memoryview(b",".join(texts)), begins

    def joined(self, begin: int, end: int) -> memoryview:
        """Some of them. No more are added from then on."""
        joined, begins = self._joined
        return joined[begins[begin] : begins[end] - 1]


class Piece(NamedTuple):
    """Those of one call."""

    history: History
    begin: int
    end: int

    @property
    def n_messages(self) -> int:
        return self.end - self.begin

    @property
    def joined(self) -> memoryview:
        """With a comma between them."""
        return self.history.joined(self.begin, self.end)


class Histories:
    """To which calls are added in time order."""

    def __init__(self, text: Callable[[int], bytes]) -> None:
        self._text = text
        self._by_last: dict[int, History] = {}

    def piece(self, refs: Sequence[int]) -> Piece:
        """Of a call with these messages, of which there is at least one."""
        history = self._continued(refs) or History(refs, self._text)
        self._by_last[refs[-1]] = history
        end = len(history.refs)
        return Piece(history, end - len(refs), end)

    def _continued(self, refs: Sequence[int]) -> History | None:
        for n_old in range(len(refs), 0, -1):
            history = self._by_last.get(refs[n_old - 1])
            if history is not None and history.refs[-n_old:] == refs[:n_old]:
                del self._by_last[refs[n_old - 1]]
                history.refs += refs[n_old:]
                return history
        return None
