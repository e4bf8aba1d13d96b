"""What a source hands out: references to pieces, small enough to send to any worker."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from lstmusic.corpus.members import Member

SPLITS = ("train", "valid", "test")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class PieceRef(NamedTuple):
    """One piece that a worker can read, or the word about a file that cannot be one.

    Attributes:
        name: unique in its corpus; for a folder, the path inside it. Fit to be shown and written as UTF-8.
        kind: who reads it: `midi`, `notation`, `abc`, `music21`, `jsb16` or `polymusic`.
        place: the file, or the archive, or music21's name of the work.
        split: the data set's own split; empty where lstmusic splits.
        number: the place within a data set's split, or of a tune within an ABC file, from 0.
        member: where in `place` its bytes are; None: `place` is the piece's own file.
        reason: why it cannot be read, where that was seen already; else empty.
    """

    name: str
    kind: str
    place: str
    split: str = ""
    number: int = 0
    member: Member | None = None
    reason: str = ""


class Source(NamedTuple):
    """The pieces of a corpus, a fingerprint that changes when any of their bytes do, and what else there was.

    Attributes:
        others: how many files of other kinds stand beside them, by suffix; they do not change the fingerprint.
    """

    pieces: list[PieceRef]
    fingerprint: str
    others: Mapping[str, int] = MappingProxyType({})


def shown(text: str) -> str:
    """A file's name, or a message with one in it, on one line and in valid UTF-8, whatever bytes the name is made of."""
    printable = os.fsencode(text).decode("utf-8", "backslashreplace")
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), printable)


def with_unique_names(refs: list[PieceRef]) -> list[PieceRef]:
    """The same pieces, in order; of those with one name the second is called `name (2)`."""
    repeats, taken, unique = Counter[str](), set[str](), []
    for ref in refs:
        name = ref.name
        while name in taken:
            repeats[ref.name] += 1
            name = f"{ref.name} ({repeats[ref.name] + 1})"
        taken.add(name)
        unique.append(ref._replace(name=name))
    return unique
