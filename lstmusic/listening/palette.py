"""The colours of voices and the names of pitches, the same in the picture and on the page."""

from __future__ import annotations

from lstmusic.score import Score

# After Okabe and Ito's colours for every kind of colour vision, a little darker where white lies behind.
VOICE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b6559a", "#c98a00", "#3a9bd9", "#6b6b6b")
PITCH_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
BLACK_KEYS = frozenset((1, 3, 6, 8, 10))


def colour_of(track: int) -> str:
    """The colour of a track, as #rrggbb."""
    return VOICE_COLOURS[track % len(VOICE_COLOURS)]


def pitch_name(pitch: int) -> str:
    """A MIDI pitch as it is written, with its octave: 60 is C4."""
    return f"{PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"


def track_names(score: Score) -> list[str]:
    """What to call each track: its own name, else its number."""
    return [track.name.strip() or f"Track {number}" for number, track in enumerate(score.tracks, 1)]


def used_tracks(score: Score) -> list[int]:
    """The tracks that have notes, in order."""
    return sorted(set(score.notes["track"].tolist()))


def pitch_range(score: Score) -> tuple[int, int]:
    """The lowest and highest pitch to show: whole thirds around the notes, at least an octave and a half."""
    pitches = score.notes["pitch"]
    low, high = (int(pitches.min()) - 2, int(pitches.max()) + 2) if len(pitches) else (55, 73)
    missing = max(18 - (high - low), 0)
    return max(low - missing // 2, 0), min(high + (missing + 1) // 2, 127)
