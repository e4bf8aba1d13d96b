"""Songs beside the music of their model's training: what they share with it, and which of many to keep, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.evaluation import statistics
from lstmusic.evaluation.choosing import MOST_SD, Cost, Costs, Measured, in_sd, without
from lstmusic.evaluation.originality import Index, mutual
from lstmusic.evaluation.reference import Reference, shared_bars
from lstmusic.evaluation.song_measures import length_bars
from lstmusic.schema.checks import at_least, of_kind
from lstmusic.score import Score
from lstmusic.writing import WITHOUT_NEW_NOTES, Judge, Refusal, Song

ATTEMPTS = 16  # seeds tried for a song that may share so much and no more
MIN_HELD_OUT = 2  # pieces: one has no spread
USUAL_SD = 1.0  # from the held-out mean
MOST_NAMED = 2  # statistics in one sentence


class Choice(NamedTuple):
    """Songs that are kept, the best first, with `chosen` in their reports; the same of those that are not."""

    kept: list[Song]
    left_out: list[dict[str, Any]]


def new_music(song: Song) -> Score:
    """What is new in a song, where it stands in it."""
    return song.score if song.new is None else replace(song.score, notes=song.score.notes[song.new])


def tell_originality(songs: Sequence[Song], index: Index, reference: Reference | None) -> None:
    """Put `originality` into the reports of songs: what each has in common with a training piece, None for nothing.

    That is `originality.Run`, and `beyond`: the share of held-out pieces that share as many bars, or more.
    """
    for song, run in zip(songs, index.longest([new_music(song) for song in songs]), strict=True):
        beyond = None if reference is None else reference.beyond(run)
        song.report["originality"] = None if run is None else {**run._asdict(), "beyond": beyond}


def judge(index: Index | None, reference: Reference | None, max_shared_bars: float | None) -> Judge:
    """What refuses songs in which nothing is new, or that share more bars than that with a training piece (None: any).

    On the way it tells `originality` of all songs that it is asked for, where there is an index.
    """

    def refusals(songs: Sequence[Song]) -> list[Refusal | None]:
        if index is not None:
            tell_originality(songs, index, reference)
        return [_shares_too_much(song, max_shared_bars) or _without_new_notes(song) for song in songs]

    return refusals


def _without_new_notes(song: Song) -> Refusal | None:
    return None if song.report["new_notes"] > 0 else WITHOUT_NEW_NOTES


def _shares_too_much(song: Song, max_shared_bars: float | None) -> Refusal | None:
    shared = song.report.get("originality")
    if max_shared_bars is None or shared is None or shared["bars"] <= max_shared_bars:
        return None
    most = f"more bars than originality.max_bars={max_shared_bars:g} with a training piece"
    return Refusal(f"share {most} ({shared['bars']:.3g} with {shared['piece']})", "a larger originality.max_bars")


def best(songs: Sequence[Song], keep: int, index: Index, reference: Reference) -> Choice:
    """The songs that together are most like held-out music, and like nothing else too much; see `evaluation.choosing`.

    Args:
        songs: in the order of their numbers, with `originality` in their reports.
        reference: of two held-out pieces at least.
    """
    ranking = _Ranking(songs, index, reference, keep)
    order = ranking.kept + sorted(
        (song for song in range(len(songs)) if song not in ranking.kept), key=lambda song: ranking.losses[song].sum()
    )
    for place, song in enumerate(order[:keep], 1):
        songs[song].report["chosen"] = ranking.row(song, place)
    left_out = [ranking.row(song, place) for place, song in enumerate(order[keep:], keep + 1)]
    return Choice([songs[song] for song in order[:keep]], left_out)


def check(
    name: str, index: Index | None, reference: Reference | None, candidates: int | None, max_shared_bars: float | None
) -> None:
    """Refuse what only a model can be asked whose folder tells of its training and held-out pieces.

    Args:
        name: of the model.
        candidates: how many songs some are to be chosen from. max_shared_bars: see `MusicModel.generate`.

    Raises:
        ConfigError: the folder does not, or too few pieces are held out, or the bars are below 0.
    """
    if max_shared_bars is not None:
        of_kind("originality.max_bars", max_shared_bars, int | float, "a number of bars")
        at_least("originality.max_bars", max_shared_bars, 0)
    for key, value in (("originality.max_bars", max_shared_bars), ("candidates", candidates)):
        if value is not None and index is None:
            raise ConfigError(
                f"{key}={value:g}: the folder of {name or 'the model'} does not tell of its training and held-out pieces; "
                f"lstmusic evaluate checkpoint={name or 'DIR'} adds that"
            )
    if candidates is not None:
        check_held_out(reference, candidates)


def check_held_out(reference: Reference | None, candidates: int) -> None:
    """Raise ConfigError where too few pieces are held out to choose songs by; a model with none has no reference."""
    held_out = 0 if reference is None else len(reference.pieces)
    if held_out < MIN_HELD_OUT:
        raise ConfigError(
            f"candidates={candidates}: the model has {held_out} held-out pieces to choose by, "
            f"expected at least {MIN_HELD_OUT}"
        )


class _Ranking:
    """Songs measured and chosen from, and the words for it; songs by their places in the list."""

    def __init__(self, songs: Sequence[Song], index: Index, reference: Reference, keep: int) -> None:
        self.songs, self.names, self.band = songs, reference.names, reference.band
        measures = [statistics.measured(song.score) for song in songs]
        own = Measured(
            np.array([song.report["nats_per_token"] for song in songs]),
            np.array([length_bars(song.score) for song in songs]),
            np.array([[row[name] for name in self.names] for row in measures]),
        )
        held_out = Measured(reference.nats, reference.bars, reference.statistics)
        self.in_sd = in_sd(own, held_out)
        self.mutual_bars = mutual_bars([new_music(song) for song in songs])
        shared = np.array([bars_of(song) for song in songs])
        costs = Costs(own, held_out, shared, self.mutual_bars, self.band.bars_95)
        self.kept = costs.choose(keep)
        self.rivals = [song if song in self.kept else costs.rival(song, self.kept) for song in range(len(songs))]
        beside = [without(rival, self.kept) for rival in self.rivals]
        self.costs = [costs.of(song, others) for song, others in enumerate(beside)]
        self.losses = [np.subtract(self.costs[song], self.costs[rival]) for song, rival in enumerate(self.rivals)]

    def row(self, song: int, place: int) -> dict[str, Any]:
        """What is told of a song: its place and number, its cost and the parts of it, and why it is kept or not."""
        cost = self.costs[song]
        return {
            "of": len(self.songs),
            "place": place,
            "number": self.songs[song].report["number"],
            **{name: round(value, 4) for name, value in cost._asdict().items()},
            "cost": round(cost.total, 4),
            "why": self._why_kept(song, place) if song in self.kept else self._why_not(song, place),
        }

    def _why_kept(self, song: int, place: int) -> str:
        shares = bars_of(self.songs[song])
        words = [
            self._nats(song),
            self._length(song),
            self._statistics(song),
            f"shares {shares:.3g} bars" if shares else "shares nothing",
        ]
        if len(self.kept) > 1:
            other, bars = self._most_alike(song)
            words.append(f"{bars:.3g} bars in common with {self._name(other)}" if bars else "unlike the others kept")
        return f"kept {_ordinal(place)} of {len(self.songs)}: {', '.join(words)}"

    def _why_not(self, song: int, place: int) -> str:
        """By which part of the cost a song loses most to the one in whose place it would be least out of place.

        Or that it is like that one, which then costs as much.
        """
        alike = self.mutual_bars[song, self.rivals[song]] > self.band.bars_95
        part = "likeness" if alike else Cost._fields[int(np.argmax(self.losses[song]))]
        return f"{_ordinal(place)} of {len(self.songs)}: {self._reason(song, part)}"

    def _reason(self, song: int, part: str) -> str:
        if part == "originality":
            shared = self.songs[song].report["originality"]
            return f"shares {shared['bars']:.3g} bars with {shared['piece']}, as hardly a held-out piece does"
        if part == "likeness":
            other, bars = self._most_alike(song)
            return f"{bars:.3g} bars in common with {self._name(other)}, which is kept"
        words = {"nats": self._nats, "length": self._length, "statistics": self._statistics}[part](song)
        rival = f"; with {self._name(self.rivals[song])} the songs kept are nearer to held-out music"
        return words + (rival if "as usual" in words else "")

    def _name(self, song: int) -> str:
        return f"number {self.songs[song].report['number']}"

    def _nats(self, song: int) -> str:
        sd = self.in_sd.nats[song]
        return f"nats as usual ({_sd(sd)})" if abs(sd) <= USUAL_SD else f"nats {_sd(sd)} held-out music"

    def _length(self, song: int) -> str:
        sd = self.in_sd.bars[song]
        return f"length as usual ({_sd(sd)})" if abs(sd) <= USUAL_SD else f"length {_sd(sd)} held-out music"

    def _statistics(self, song: int) -> str:
        sd = self.in_sd.statistics[song].clip(-MOST_SD, MOST_SD)
        known = np.flatnonzero(np.isfinite(sd))
        mean = np.abs(sd[known]).mean() if len(known) else 0.0
        if mean <= USUAL_SD:
            return f"statistics as usual ({mean:.1f} sd)"
        far = [k for k in known if abs(sd[k]) >= np.abs(sd[known]).max()]
        words = " and ".join(statistics.STATISTICS[self.names[k]].words for k in far[:MOST_NAMED])
        return f"statistics {mean:.1f} sd from held-out music, most of all {words}"

    def _most_alike(self, song: int) -> tuple[int, float]:
        """The other kept song that a song shares most bars with, and how many."""
        other = max(without(song, self.kept), key=lambda other: self.mutual_bars[song, other])
        return other, float(self.mutual_bars[song, other])


def bars_of(song: Song) -> float:
    """The bars of the longest run that a song shares with a training piece."""
    return song.report["originality"]["bars"] if song.report["originality"] else 0.0


def mutual_bars(scores: Sequence[Score]) -> np.ndarray:
    """The bars of the longest run that every two scores share, float64 [N, N], symmetric."""
    bars = np.array([[shared_bars(run) for run in runs] for runs in mutual(scores)])
    return np.maximum(bars, bars.T)


def share_words(shared: dict[str, Any] | None) -> str:
    """What a song shares, as its report has it, in words."""
    if shared is None:
        return "shares nothing with a training piece"
    words = f"shares {shared['bars']:.3g} bars with {shared['piece']} bar {shared['piece_bar']}"
    if shared["beyond"] is not None:
        words += f" ({shared['beyond']:.0%} of held-out pieces share as much)"
    return words


def _sd(value: float) -> str:
    return f"{abs(value):.1f} sd {'above' if value > 0 else 'below'}"


def _ordinal(place: int) -> str:
    suffix = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{suffix}"
