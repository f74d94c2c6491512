"""The messages of many calls as JSON. A call's history is mostly that of an earlier call and a few
more messages, perhaps without the first ones: it is a slice of the longest history, which is joined
once. For 500 calls of 200 messages, joining each of these histories took 14 ms, slicing them 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple


class MessageHistory:
    """Messages that follow one another, by their references."""

    def __init__(self, refs: Sequence[int], text: Callable[[int], bytes]) -> None:
        self.refs = list(refs)
        self._text = text

    @cached_property
    def _text_and_offsets(self) -> tuple[memoryview, list[int]]:
        """The messages with a comma between them, and the offset of each."""
        texts = list(map(self._text, self.refs))
        begins = list(accumulate((len(text) + 1 for text in texts), initial=0))
        return memoryview(b",".join(texts)), begins

    def join(self, begin: int, end: int) -> memoryview:
        """Returns some of the messages. No more may be added afterwards."""
        text, offsets = self._text_and_offsets
        return text[offsets[begin] : offsets[end] - 1]


class HistorySlice(NamedTuple):
    """The messages of one call."""

    history: MessageHistory
    begin: int
    end: int

    @property
    def n_messages(self) -> int:
        return self.end - self.begin

    @property
    def json(self) -> memoryview:
        """The messages with a comma between them."""
        return self.history.join(self.begin, self.end)


class Histories:
    """Finds the histories of calls, which are added in time order."""

    def __init__(self, text: Callable[[int], bytes]) -> None:
        self._text = text
        self._by_last: dict[int, MessageHistory] = {}

    def add(self, refs: Sequence[int]) -> HistorySlice:
        """Returns the history of a call with these messages, of which there is at least one."""
        history = self._continue(refs) or MessageHistory(refs, self._text)
        self._by_last[refs[-1]] = history
        end = len(history.refs)
        return HistorySlice(history, end - len(refs), end)

    def _continue(self, refs: Sequence[int]) -> MessageHistory | None:
        for n_old in range(len(refs), 0, -1):
            history = self._by_last.get(refs[n_old - 1])
            if history is not None and history.refs[-n_old:] == refs[:n_old]:
                del self._by_last[refs[n_old - 1]]
                history.refs += refs[n_old:]
                return history
        return None
