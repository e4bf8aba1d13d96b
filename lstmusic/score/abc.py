"""ABC files: many tunes in one, each read by music21.

Source: the ABC standard 2.1, sections 2.2 (the parts of a file) and 3 (fields).
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lstmusic.errors import ReadError
from lstmusic.score import notation
from lstmusic.score.files import read_bytes

if TYPE_CHECKING:
    from lstmusic.score import Score
    from lstmusic.score.remarks import Remarks

TUNE = re.compile(r"^(?=X:)", re.MULTILINE)  # the reference number, with which a tune begins
FIELD = re.compile(r"[A-Za-z]:|%%")
EMPTY_LINE = re.compile(r"\n[ \t]*\n")
STRINGS = re.compile(r'"[^"\n]*"')
REPEAT = re.compile(r":\||\|:|::")


def tunes(text: str) -> list[str]:
    """The tunes of an ABC file, each beginning with the file's header.

    A text without reference numbers is one tune. Of what follows an empty line, only what has bar lines belongs to a tune.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    header, *parts = TUNE.split(text)
    if not parts:
        return [text]
    fields = "".join(line for line in header.splitlines(keepends=True) if FIELD.match(line))
    return [fields + _without_remarks(part) for part in parts]


def _without_remarks(tune: str) -> str:
    first, *others = EMPTY_LINE.split(tune)
    return "\n".join([first, *(block for block in others if "|" in block)]).rstrip() + "\n"


@lru_cache(maxsize=4)  # a worker reads the tunes of a file one after the other
def tunes_of(path: Path) -> tuple[str, ...]:
    """The tunes of a file; bytes that are not UTF-8 are taken for Latin-1.

    Raises:
        MissingFileError, ReadError: there is no such file, or it cannot be opened.
    """
    data = read_bytes(path)
    try:
        return tuple(tunes(data.decode()))
    except UnicodeDecodeError:
        return tuple(tunes(data.decode("latin-1")))


def read_tune(path: Path, number: int, remarks: Remarks | None = None) -> Score:
    """Read one tune of an ABC file.

    Repeats are not played twice: a tune is what is written, and its repeat signs are counted as left out.

    Args:
        number: its place in the file, from 0.
        remarks: gathers what was left out.

    Raises:
        MissingFileError: there is no such file.
        ReadError: the file has no such tune, music21 cannot read it, or it has no notes.
    """
    import music21

    name = f"{path}: tune {number + 1}"
    found = tunes_of(path)
    if not 0 <= number < len(found):
        raise ReadError(f"{name}: the file holds {len(found)}")
    try:
        score = notation.from_music21(music21.converter.parseData(found[number], format="abc"))
    except Exception as error:  # music21's own parser fails in as many ways as there are dialects
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(f"{name}: cannot be read as ABC ({reason})") from error
    if not len(score.notes):
        raise ReadError(f"{name}: no notes, expected music")
    if remarks is not None:
        remarks.losses["repeat signs left out"] += len(REPEAT.findall(STRINGS.sub("", found[number])))
    return score
