"""ABC files: many tunes in one, each read by music21.

Source: the ABC standard 2.1, sections 2.2 (the parts of a file) and 3 (fields).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.errors import ReadError
from lstmusic.score import notation
from lstmusic.score.pretty import writable_meters
from lstmusic.score.remarks import Remarks

if TYPE_CHECKING:
    import music21

    from lstmusic.score import Score

TUNE = re.compile(r"^(?=X:)", re.MULTILINE)  # the reference number, with which a tune begins
FIELD = re.compile(r"[A-Za-z]:|%%")
METER = re.compile(r"^M:.*?(C\||C|\d+/\d+)|\[M:[^]]*?(C\||C|\d+/\d+)", re.MULTILINE)
COMMON_METERS = {"C": "4/4", "C|": "2/2"}
EMPTY_LINE = re.compile(r"\n[ \t]*\n")
STRINGS = re.compile(r'"[^"\n]*"')
REPEAT = re.compile(r":\||\|:|::")


@lru_cache(maxsize=2)  # a worker reads the tunes of a file one after the other
def tunes(text: str) -> tuple[str, ...]:
    """The tunes of an ABC file, each beginning with the file's header.

    A text without reference numbers is one tune. Of what follows an empty line, only what has bar lines belongs to a tune.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    header, *parts = TUNE.split(text)
    if not parts:
        return (text,)
    fields = "".join(line for line in header.splitlines(keepends=True) if FIELD.match(line))
    return tuple(fields + _without_remarks(part) for part in parts)


def _without_remarks(tune: str) -> str:
    first, *others = EMPTY_LINE.split(tune)
    return "\n".join([first, *(block for block in others if "|" in block)]).rstrip() + "\n"


def read(tune: str, name: str, remarks: Remarks | None = None) -> Score:
    """Read one tune.

    Args:
        tune: one of what `tunes` gives.
        name: what messages call it.
        remarks: gathers what was left out.

    Raises:
        ReadError: music21 cannot read it, or it has no notes.
    """
    import music21

    found = Remarks()
    try:
        stream = music21.converter.parseData(tune, format="abc")
        meters = _meters(tune, stream)
        score = replace(notation.from_music21(stream, found), meters=meters).canonical()
    except Exception as error:  # a parser of many dialects, with as many kinds of failure
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(f"{name}: cannot be read as ABC ({reason}), expected a tune") from error
    if not len(score.notes):
        raise ReadError(f"{name}: no notes, expected music")
    if remarks is not None:
        _, _, music = tune.partition("\nK:")  # the field that ends a tune's header
        found.losses["changes of meter left out"] = max(0, len(METER.findall(music)) - len(score.meters[1:]))
        found.losses["repeat signs left out"] = len(REPEAT.findall(STRINGS.sub("", tune)))  # music21 shows some only
        remarks.losses.update(+found.losses)
        remarks.repairs["no meter, taken for 4/4"] += not len(meters)
    return score


def _meters(tune: str, stream: music21.stream.Stream) -> np.ndarray:
    """The meters that are written; music21 adds others around every bar that is longer than its meter."""
    written = {one or other for one, other in METER.findall(tune)}
    written = {COMMON_METERS.get(meter, meter) for meter in written}
    part = stream.parts[0] if stream.parts else stream
    found = [(measure.offset, measure.timeSignature) for measure in part.getElementsByClass("Measure") or [part]]
    rows = [
        (round(offset * notation.TICKS_PER_QUARTER), meter.numerator, meter.denominator)
        for offset, meter in found
        if meter is not None and meter.ratioString in written
    ]
    return writable_meters(*np.array(rows, np.int64).reshape(-1, 3).T)
