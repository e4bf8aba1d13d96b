"""New music put into a gap of a piece: between the notes that stay, to the tick.

The piece itself stays, whatever its encoding cannot carry; of the encoding's music only what is new is taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lstmusic.score.alignment import Alignment
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes


class Gap(NamedTuple):
    """A stretch of a piece, and the same in its encoding's music: from one tick to another of each."""

    piece: tuple[int, int]
    music: tuple[int, int]


class Spliced(NamedTuple):
    """A piece with new music in it.

    Attributes:
        score: the piece.
        new: which of its notes came into it, bool [notes]; one may be as it was before.
        written: how many notes came into it. removed: how many went.
        trimmed: how many of the written were cut, or left out, where a note that stayed has their pitch.
        voices: of the tracks that were to stay, by name, which track of the piece each is.
    """

    score: Score
    new: np.ndarray
    written: int
    removed: int
    trimmed: int
    voices: dict[str, int]


def inside(notes: np.ndarray, span: tuple[int, int]) -> np.ndarray:
    """bool [N]: which notes sound at no time outside a stretch of ticks."""
    onset = notes["onset_tick"]
    return (onset >= span[0]) & (onset + notes["duration_tick"] <= span[1])


def spliced(alignment: Alignment, new: Score, gap: Gap, keep: Collection[str] = (), velocities: bool = True) -> Spliced:
    """The piece with what sounds wholly inside the gap taken from other music; every other note stays.

    Args:
        alignment: of the piece and of its encoding's music before.
        new: that music with other notes inside the gap.
        keep: names of tracks of the music, in capitals or not, that stay inside the gap, too.
        velocities: whether the new music tells how loud it is; else it is as loud as what stays around it.
    """
    piece = alignment.piece
    gone = inside(piece.notes, gap.piece) & _carried(alignment, gap, keep)
    stays = piece.notes[~gone]
    fresh = inside(new.notes, gap.music) & ~_kept(new, keep)
    tracks, track_of, voices = _tracks(alignment, new, fresh, keep)
    notes = new.notes[fresh].copy()
    ends = notes["onset_tick"] + notes["duration_tick"]
    onset, end = (alignment.to_piece(ticks) for ticks in (notes["onset_tick"], ends))
    onset = np.clip(onset, gap.piece[0], gap.piece[1] - 1)
    notes["onset_tick"] = onset
    notes["duration_tick"] = np.maximum(np.minimum(end, gap.piece[1]) - onset, 1)
    notes["track"] = track_of[notes["track"]]
    if not velocities:
        drums = np.array([track.drum for track in tracks], bool)
        notes["velocity"] = _velocities(notes, stays[~drums[stays["track"]]])
    fitted, trimmed = _fitted(notes, stays)
    score = replace(piece, notes=sorted_notes(np.concatenate([stays, fitted])), tracks=tracks)
    return Spliced(score, ~np.isin(score.notes, stays), len(fitted), int(gone.sum()), trimmed, voices)


def _kept_tracks(music: Score, keep: Collection[str]) -> np.ndarray:
    """bool [tracks]: which tracks of the music stay."""
    names = {name.lower() for name in keep}
    return np.array([track.name.lower() in names for track in music.tracks], bool)


def _kept(music: Score, keep: Collection[str]) -> np.ndarray:
    """bool [notes]: which notes of the music are on a track that stays."""
    return _kept_tracks(music, keep)[music.notes["track"]]


def _carried(alignment: Alignment, gap: Gap, keep: Collection[str]) -> np.ndarray:
    """bool [notes]: which notes of the piece the encoding tells of, or could, and does not give.

    Pitched notes that it left out, as those of a fifth voice, go with the others; drums stay where it knows none.
    """
    piece, before = alignment.piece, alignment.music
    given = ~inside(before.notes, gap.music) | _kept(before, keep)
    at = alignment.in_music()
    drums = np.array([track.drum for track in piece.tracks], bool)[piece.notes["track"]]
    knows_drums = any(track.drum for track in before.tracks)
    return ~((at >= 0) & given[at]) & (knows_drums | ~drums)


def _tracks(
    alignment: Alignment, new: Score, fresh: np.ndarray, keep: Collection[str]
) -> tuple[tuple[Track, ...], np.ndarray, dict[str, int]]:
    """The piece's tracks and those that the new notes need, and which of them each track of the new music is, int64;
    of tracks that stay by their names, too.

    It is the one that holds most of its notes that stayed; else one of its name, best of its program, too; where it has no
    name, one of its program; else a new one, of the instrument of the first that stays by its name.
    """
    tracks, of_track = list(alignment.piece.tracks), np.zeros(len(new.tracks), np.int64)
    at = alignment.in_piece(new)
    on_track = alignment.piece.notes["track"]
    met_by = [at[(new.notes["track"] == number) & ~fresh & (at >= 0)] for number in range(len(new.tracks))]
    usual = {k: int(np.bincount(on_track[met]).argmax()) for k, met in enumerate(met_by) if len(met)}
    voices = {new.tracks[k].name: usual[k] for k in np.flatnonzero(_kept_tracks(new, keep)).tolist() if k in usual}
    programs = [tracks[k].program for k in voices.values()]
    for number, track in enumerate(new.tracks):
        alike = [k for k, other in enumerate(tracks) if _alike(other, track)]
        if number in usual:
            of_track[number] = usual[number]
        elif alike:
            of_track[number] = ([k for k in alike if tracks[k].program == track.program] or alike)[0]
        elif fresh[new.notes["track"] == number].any():
            of_track[number] = len(tracks)
            tracks.append(replace(track, program=(programs or [track.program])[0]))
    return tuple(tracks), of_track, voices


def _alike(one: Track, other: Track) -> bool:
    """Whether a part of this name is played there, by whatever instrument; of parts without a name the instrument tells."""
    same = one.name.lower() == other.name.lower() if other.name else one.program == other.program
    return same and one.drum == other.drum


def _velocities(notes: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Median velocity of the notes that stay in each note's track, else of all, int64 [notes]; its own where none do."""
    velocities = notes["velocity"].astype(np.int64)
    for track in np.unique(notes["track"]):
        own = stays["velocity"][stays["track"] == track]
        around = own if len(own) else stays["velocity"]
        if len(around):
            velocities[notes["track"] == track] = np.rint(np.median(around))
    return velocities


def _fitted(notes: np.ndarray, stays: np.ndarray) -> tuple[np.ndarray, int]:
    """New notes, none of them over one that stays of its track and pitch, and how many were cut or left out for that."""
    taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for onset, duration, pitch, _, track in stays.tolist():
        taken.setdefault((track, pitch), []).append((onset, onset + duration))
    kept, trimmed = [], 0
    for onset, duration, pitch, velocity, track in notes.tolist():
        others = taken.get((track, pitch), [])
        end = min([onset + duration, *(start for start, _ in others if start > onset)])
        free = not any(start <= onset < stop for start, stop in others)
        trimmed += not free or end < onset + duration
        if free:
            kept.append((onset, end - onset, pitch, velocity, track))
    return np.array(kept, NOTE_DTYPE), trimmed
