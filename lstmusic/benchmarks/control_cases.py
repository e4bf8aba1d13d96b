"""What `table=controls` asks of a model: for every control its settings, and the measure that it has to move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lstmusic.benchmarks.song_writing import SECONDS_PER_BAR, length, nats_per_token
from lstmusic.evaluation import song_measures as measures
from lstmusic.evaluation import voice_leading
from lstmusic.events.codec import Codec
from lstmusic.events.kinds import PITCH, TIME, VELOCITY, event_kinds, struck_pitches
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.settings import Repetition
from lstmusic.score import Score
from lstmusic.writing import Song

Measure = Callable[[list[Song]], float]
How = dict[str, Any]

BARS, MANY_BARS, LOOP_BARS = 8, 16, 32
KIND_FACTORS = (0.5, 2.0)
C_MAJOR = (0, 2, 4, 5, 7, 9, 11)
RANGES = {"Soprano": (67, 76), "Bass": (43, 52)}  # MIDI pitches: G4 to E5 and G2 to E3
ANY_RANGE = (60, 79)  # C4 to G5, where an encoding names no voices
LIMITS = (3, 2, 1)
PARALLELS = (2.0, 5.0, 20.0)  # nats
# Notes per bar, of 2 s in `performance`: from the thinnest to the densest that is common in the data sets of each encoding;
# a model knows nothing of densities that it was never told
DENSITIES = {"melody": (3, 4, 6, 8), "metrical": (4, 8, 16, 32)}
OTHER_DENSITIES = (8, 12, 16, 24)
GUIDANCES = (1.0, 2.0, 4.0)
HISTOGRAMS = {
    "C major pentatonic": (1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0),
    "F# major": (0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1),
    "uniform": (1,) * 12,
}
LOOPING = (0.5, 0.7)  # temperatures at which songs loop
ROUNDS = 4
LEAST = (0.3, 0.6)
TOLERANCE_S = 0.005  # half a step of `performance`


@dataclass(frozen=True)
class Case:
    """One setting of one control, and the measure that shows it.

    Attributes:
        control: its name.
        setting: what is asked, as it is typed.
        measure: its name and unit. of: what computes it from songs.
        how: arguments of `MusicModel.generate` with the control. beside: without it.
        asked: the value that the measure is to have, where there is one.
    """

    control: str
    setting: str
    measure: str
    of: Measure
    how: How
    beside: How
    asked: float | None = None


def cases(codec: Codec, held_out: float | None) -> list[Case]:
    """The cases of an encoding: controls that it has nothing for are left out.

    Args:
        held_out: nats per token that the model has for held-out music; None: unknown, so `auto` has nothing to meet.
    """
    found = [*_kinds(codec), *_curve(codec), *([] if held_out is None else [_auto(codec, held_out)])]
    if (struck_pitches(codec.vocabulary) >= 0).any():
        found += [*_key(codec), _range(codec), *_polyphony(codec)]
    if len(codec.grammar.voices) > 1:
        found += _parallels(codec)
    if codec.grammar.conditions:
        found += [*_density(codec), *_pitch_classes(codec)]
    return [*found, _end(codec), *_cadence(codec), *_loops(codec), *_repetition(codec)]


def mean(measure: Callable[[Score], float]) -> Measure:
    """The mean of a measure over songs; those for which it is not a number are left out."""

    def of(songs: list[Song]) -> float:
        values = np.array([measure(song.score) for song in songs], float)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    return of


def _base(codec: Codec, bars: int) -> How:
    """How songs are written where the end does not matter: a cadence costs several times as much as the rest."""
    return {"cadence": False, **length(codec, bars)}


def _kinds(codec: Codec) -> list[Case]:
    """Temperature of one kind of event, the others as they are."""
    base, present = _base(codec, BARS), {*event_kinds(codec.vocabulary).tolist()}
    kinds: list[tuple[int, str, str, Callable[[Score], float]]] = [
        (PITCH, "pitch", "entropy of pitches, nats", measures.pitch_entropy),
        (TIME, "time", "entropy of durations, nats", measures.duration_entropy),
        (VELOCITY, "velocity", "spread of velocities", measures.velocity_spread),
    ]
    found = []
    for kind, name, words, measure in kinds:
        for factor in KIND_FACTORS if kind in present else ():
            setting, how = f"sampling.{name}_temperature={factor:g}", {f"{name}_temperature": factor, **base}
            found.append(Case("temperature by kind", setting, words, mean(measure), how, base))
    return found


def _curve(codec: Codec) -> list[Case]:
    base, half = _base(codec, MANY_BARS), MANY_BARS // 2
    how = {"temperature": ((0.0, 0.6), (float(MANY_BARS), 1.4)), **base}
    setting, words = f"temperature=[[0,0.6],[{MANY_BARS},1.4]]", "nats per token, bars {} to {}"
    early, late = partial(_nats, codec, 0, half), partial(_nats, codec, half, MANY_BARS)
    return [
        Case("curve", setting, words.format(1, half), early, how, base),
        Case("curve", setting, words.format(half + 1, MANY_BARS), late, how, base),
    ]


def _nats(codec: Codec, first_bar: float, last_bar: float, songs: list[Song]) -> float:
    return nats_per_token(codec, songs, first_bar, last_bar)


def _auto(codec: Codec, held_out: float) -> Case:
    base: How = {}  # songs that end by themselves, as held-out pieces do
    how, of = {"temperature": "auto", **base}, partial(_nats, codec, 0, np.inf)
    return Case("auto", "temperature=auto", "nats per token", of, how, base, held_out)


def _key(codec: Codec) -> list[Case]:
    base, of = _base(codec, BARS), mean(lambda score: measures.share_in_key(score, C_MAJOR))
    weighed, masked = ({"controls": Controls(key="C", key_weight=weight), **base} for weight in (2.0, None))
    return [
        Case("key", "control.key=C control.key_weight=2", "share of notes in C major", of, weighed, base),
        Case("key", "control.key=C", "share of notes in C major", of, masked, base, 1.0),
    ]


def _range(codec: Codec) -> Case:
    base = _base(codec, BARS)
    ranges = RANGES if set(RANGES) <= set(codec.grammar.voices) else {"all": ANY_RANGE}
    words = ",".join(f"{voice}:[{low},{high}]" for voice, (low, high) in ranges.items())
    of, how = mean(lambda score: measures.share_in_range(score, ranges)), {"controls": Controls(ranges=ranges), **base}
    return Case("range", f"control.range={{{words}}}", "share of notes in range", of, how, base, 1.0)


def _polyphony(codec: Codec) -> list[Case]:
    base, limits = _base(codec, BARS), () if codec.name == "melody" else LIMITS  # a melody has one voice as it is
    hows = {limit: {"controls": Controls(polyphony=limit), **base} for limit in limits}
    words = "most notes at a time"
    return [
        Case("polyphony", f"control.polyphony={limit}", words, _most_at_once, how, base, limit)
        for limit, how in hows.items()
    ]


def _most_at_once(songs: list[Song]) -> float:
    return float(max(measures.most_at_once(song.score) for song in songs))


def _parallels(codec: Codec) -> list[Case]:
    base = _base(codec, MANY_BARS)
    faults = {"fifths": voice_leading.parallel_fifths, "octaves": voice_leading.parallel_octaves}
    found = []
    for nats in PARALLELS:
        setting, how = f"control.parallels={nats:g}", {"controls": Controls(parallels=nats), **base}
        found += [
            Case("parallels", setting, f"parallel {name} per 100 beats", mean(fault), how, base)
            for name, fault in faults.items()
        ]
    return found


def _density(codec: Codec) -> list[Case]:
    base, of, found = _base(codec, BARS), mean(measures.notes_per_bar), []
    for guidance in GUIDANCES:
        for density in DENSITIES.get(codec.name, OTHER_DENSITIES):
            how = {"controls": Controls(density=density, guidance=guidance), **base}
            setting = f"control.density={density} control.guidance={guidance:g}"
            found.append(Case("density", setting, "notes per bar", of, how, base, density))
    return found


def _pitch_classes(codec: Codec) -> list[Case]:
    base, found = _base(codec, BARS), []
    for name, weights in HISTOGRAMS.items():
        asked = np.array(weights) / sum(weights)
        of = mean(partial(measures.distance_from, asked))
        setting = f"control.pitch_classes=[{','.join(map(str, weights))}]"
        how = {"controls": Controls(pitch_classes=weights), **base}
        found.append(Case("pitch classes", setting, f"distance from {name}", of, how, base))
    return found


def _end(codec: Codec) -> Case:
    """A length asked for, beside songs that the model ends itself."""
    if codec.in_seconds:
        of = mean(lambda score: abs(score.length_s - SECONDS_PER_BAR * BARS) < TOLERANCE_S)
    elif codec.name == "metrical":  # the final bar line is there, but notes may sound on or be over before
        of = mean(lambda score: measures.bars_begun(score) == BARS)
    else:
        of = mean(lambda score: measures.lasts(score, BARS))
    setting = " ".join(f"{name.replace('_', '.')}={value:g}" for name, value in length(codec, BARS).items())
    return Case(
        "end", setting, "share of songs as long as asked", of, {"cadence": True, **length(codec, BARS)}, {}, 1.0
    )


def _cadence(codec: Codec) -> list[Case]:
    """What the end is like, beside songs that end there whatever the model finds."""
    how, beside = ({"cadence": cadence, **length(codec, BARS)} for cadence in (True, False))
    shown: dict[str, Measure] = {
        "nats of the ending": partial(_ending_nats, codec),
        "last note, quarters": mean(measures.last_note_quarters),
    }
    if "KEY" in {events.kind for events in codec.vocabulary.ranges}:
        shown["songs that end on the tonic"] = mean(measures.ends_on_tonic)
    return [Case("cadence", "length.cadence=true", words, of, how, beside) for words, of in shown.items()]


def _ending_nats(codec: Codec, songs: list[Song]) -> float:
    """Mean nats of the EOS group."""
    return float(np.mean([song.nats[-codec.group_size :].sum() for song in songs]))


def _loops(codec: Codec) -> list[Case]:
    """Loops as the detector knows them, and bars played again and again, which it knows nothing of."""
    found = []
    rounds = mean(lambda score: measures.most_rounds(score) >= ROUNDS)
    for temperature in LOOPING:
        base = {"temperature": temperature, **_base(codec, LOOP_BARS)}
        how, beside = ({"repetition": Repetition(break_loops=on), **base} for on in (True, False))
        setting = f"repetition.break_loops=true temperature={temperature:g}"
        found.append(Case("loops", setting, "songs with a loop", _with_loops, how, beside))
        found.append(Case("loops", setting, f"songs with a bar, or 2, or 4, {ROUNDS} times", rounds, how, beside))
    return found


def _with_loops(songs: list[Song]) -> float:
    return float(np.mean([song.report["loops"] > 0 for song in songs]))


def _repetition(codec: Codec) -> list[Case]:
    base, of = _base(codec, MANY_BARS), mean(measures.repeated_bars)
    return [
        Case(
            *("repetition", f"repetition.least={least:g}", "share of bars repeated", of),
            *({"repetition": Repetition(least=least), **base}, base, least),
        )
        for least in LEAST
    ]
