"""One table of (kind, low, high) ranges: event <-> id, bounds-checked, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstmusic.errors import VocabularyError


class Event(NamedTuple):
    """One named event, such as ("NOTE_ON", 60)."""

    kind: str
    value: int


class EventRange(NamedTuple):
    """The values low..high (both included) of one kind of event."""

    kind: str
    low: int
    high: int


class Vocabulary:
    """The ids of an encoding: the ranges laid end to end, the first value of the first range being id 0."""

    def __init__(self, ranges: Sequence[tuple[str, int, int]]) -> None:
        self.ranges = tuple(EventRange(*r) for r in ranges)
        self._first: dict[str, int] = {}
        size = 0
        for kind, low, high in self.ranges:
            if high < low or kind in self._first:
                raise VocabularyError(f"range {kind} {low}..{high}: expected low <= high and each kind once")
            self._first[kind] = size
            size += high - low + 1
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]

    def range_of(self, kind: str) -> EventRange:
        """The range of one kind."""
        for r in self.ranges:
            if r.kind == kind:
                return r
        raise VocabularyError(f"event kind {kind!r}: expected one of {', '.join(self._first)}")

    def slice_of(self, kind: str) -> slice:
        """The ids of one kind, as a slice."""
        _, low, high = self.range_of(kind)
        return slice(self._first[kind], self._first[kind] + high - low + 1)

    def id(self, kind: str, value: int = 0) -> int:
        """The id of one event.

        Raises:
            VocabularyError: there is no such kind, or the value lies outside its range.
        """
        return int(self.ids(kind, np.asarray(value)))

    def ids(self, kind: str, values: np.ndarray) -> np.ndarray:
        """The ids (int64) of many values of one kind; bounds-checked like `id`."""
        _, low, high = self.range_of(kind)
        values = np.asarray(values, np.int64)
        if values.size and (values.min() < low or values.max() > high):
            raise VocabularyError(f"{kind} {values.min()}..{values.max()}: expected {low}..{high}")
        return self._first[kind] + values - low

    def values(self, kind: str, ids: np.ndarray) -> np.ndarray:
        """The values (int64) of ids that are all of this kind; other ids give numbers outside its range."""
        return np.asarray(ids, np.int64) - self._first[kind] + self.range_of(kind).low

    def is_kind(self, kind: str, ids: np.ndarray) -> np.ndarray:
        """bool: which of the ids are of this kind."""
        s = self.slice_of(kind)
        ids = np.asarray(ids)
        return (ids >= s.start) & (ids < s.stop)

    def without_others(self, kind: str, value: int) -> np.ndarray:
        """bool [V]: all ids but those of other values of this kind."""
        kept = ~self.is_kind(kind, np.arange(self.size))
        kept[self.id(kind, value)] = True
        return kept

    def event(self, id: int) -> Event:
        """The event of one id.

        Raises:
            VocabularyError: the id is not one of 0..size-1.
        """
        for kind, low, high in self.ranges:
            first = self._first[kind]
            if first <= id <= first + high - low:
                return Event(kind, int(id) - first + low)
        raise VocabularyError(f"id {id}: expected 0..{self.size - 1}")

    def to_json(self) -> list[list]:
        """The table as plain JSON values."""
        return [list(r) for r in self.ranges]

    @classmethod
    def from_json(cls, ranges: list) -> Vocabulary:
        """The vocabulary of a table that `to_json` gave."""
        try:
            return cls([(str(kind), int(low), int(high)) for kind, low, high in ranges])
        except (TypeError, ValueError) as error:
            raise VocabularyError(
                f"vocabulary table: expected rows of [kind, low, high], got {ranges!r:.80}"
            ) from error
