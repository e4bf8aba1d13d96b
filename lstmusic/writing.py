"""From a plan to songs: ids are written, decoded, and told about; a song that will not do is tried again elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from lstmusic.errors import GenerationError
from lstmusic.evaluation.surprise import Surprise, id_ticks, surprise
from lstmusic.infilling import Task, choices
from lstmusic.listening.palette import track_names
from lstmusic.provenance import BEGINNING, Plan, facts_about, of_song
from lstmusic.sampling.infill import Infilled, infill
from lstmusic.sampling.repetition import loop_share
from lstmusic.sampling.sampler import Sampled, sample
from lstmusic.sampling.songs import BLOCK, MAX_BARS
from lstmusic.score import Score
from lstmusic.training.checkpoint import ModelFolder

ATTEMPTS = 5  # seeds tried for a song that will not do


@dataclass(frozen=True)
class Song:
    """One generated song.

    Attributes:
        score: the music.
        ids: int64 [N], BOS group and primer included.
        legal: whether the grammar allows every id.
        report: seed, number, attempt and temperature; ids, new_ids (those drawn; of a piece that is rewritten in part those
            in the gap that were not given), notes, new_notes, seconds, bars, nats_per_token (of new ids), illegal; loops,
            the share of groups inside one; overruled, overlong, stuck, closed_at_limit: what did not come out as it was
            asked for; primer_changes, what a primer lost;
            told_without, what the model was not told of a piece; start, what it goes on from; see also `selection`.
        surprise: nats of each note and bar of the score, under the model at temperature 1.
        nats: of each id that was drawn, float64 [new_ids], the last ones of `ids`. Of a piece that is rewritten in part: of
            all ids from before the gap on, given ones among them; NaN where the model did not read on.
        new: which notes of the score are, bool [notes]; None: all.
    """

    score: Score
    ids: np.ndarray
    legal: bool
    report: dict[str, Any] = field(default_factory=dict)
    surprise: Surprise | None = None
    nats: np.ndarray = field(default_factory=lambda: np.zeros(0))
    new: np.ndarray | None = None


class Refusal(NamedTuple):
    """Why a song will not do, and what to do about it, in words that follow "songs" and "expected"."""

    reason: str
    expected: str


WITHOUT_NEW_NOTES = Refusal(
    "came out without new notes", "songs that will do: try another temperature, or train longer"
)
Judge = Callable[[Sequence[Song]], list[Refusal | None]]  # of each song, None: it will do


def drawn_before(plan: Plan, song: int, attempt: int) -> int:
    """How many numbers a song's generator had given before it: of the very song that its snapshot was taken in, as many."""
    origin = None if plan.start is None else plan.start.origin
    its_own = origin is not None and (origin.seed, origin.song, origin.attempt) == (plan.seed, song, attempt)
    return origin.drawn if origin is not None and its_own else 0


def generator_of(plan: Plan, song: int, attempt: int) -> np.random.Generator:
    """What draws a song, by its number, from 1."""
    generator = np.random.default_rng((plan.seed, song - 1, attempt))
    bits = generator.bit_generator
    if isinstance(bits, np.random.PCG64):  # as NumPy's default is
        bits.advance(drawn_before(plan, song, attempt))
    return generator


class Writer:
    """Writes the songs of a plan with one model.

    Args:
        folder: the model.
        name: what its songs say that it is called.
    """

    def __init__(self, folder: ModelFolder, name: str) -> None:
        self.folder, self.name = folder, name
        self.model, self.codec = folder.model, folder.codec

    def accepted(
        self,
        plan: Plan,
        songs: int,
        judge: Judge,
        attempts: int = ATTEMPTS,
    ) -> list[Song]:
        """So many songs, each of the first seed that gives one that will do.

        Args:
            judge: asked once for all songs of an attempt.
            attempts: seeds tried for each song.

        Raises:
            GenerationError: none of the seeds gave one.
        """
        made: dict[int, Song] = {}
        for attempt in range(attempts):
            written = self.write(plan, {i: attempt for i in range(songs) if i not in made})
            refusals = dict(zip(written, judge(list(written.values())), strict=True))
            made |= {i: song for i, song in written.items() if refusals[i] is None}
            if len(made) == songs:
                return [made[i] for i in range(songs)]
        reason, expected = next(refusal for refusal in refusals.values() if refusal is not None)
        raise GenerationError(
            f"{songs - len(made)} of {songs} songs {reason}, {attempts} seeds tried for each; expected {expected}"
        )

    def write(self, plan: Plan, attempts: dict[int, int]) -> dict[int, Song]:
        """Songs by number (from 0), each with the seed of one attempt; the place in a block follows from the number."""
        if plan.infill is not None:
            return self._infill(plan, plan.infill, attempts)
        first = min(attempts) // BLOCK * BLOCK
        generators = [
            generator_of(plan, i + 1, attempts[i]) if i in attempts else None for i in range(first, max(attempts) + 1)
        ]
        written = sample(
            self.model,
            self.codec.grammar,
            generators,
            settings=plan.sampling,
            length=plan.length,
            primer=plan.primer,
            start=plan.start,
            controls=plan.control,
            repetition=plan.repetition,
            weights=plan.weights,
        )
        facts = facts_about(plan, self.name, self.folder.sha256)
        return {
            i: self._song(sampled, plan, facts, i + 1, attempts[i])
            for i, sampled in zip(sorted(attempts), written, strict=True)
        }

    def _bars(self, ids: np.ndarray | None) -> float:
        """Bars of music in legal ids, by the encoding's own meter."""
        return 0.0 if ids is None else self.codec.grammar.length(self.codec.grammar.trajectory(ids)[-1:])[0].item()

    def _begin_tick(self, plan: Plan, whole: Score) -> int:
        """Where in a song new music begins; notes of a primer may be held beyond the moment at which a snapshot stands."""
        if plan.start is not None:
            return int(whole.ticks(plan.start.length(self.codec.grammar)[1]))
        return 0 if plan.primer is None else self.codec.decode(plan.primer).end_tick

    def _song(self, sampled: Sampled, plan: Plan, common: dict[str, Any], number: int, attempt: int) -> Song:
        whole = self.codec.decode(sampled.ids)
        primer_ticks = self._begin_tick(plan, whole)
        new = whole if plan.prefix is None else whole.after(primer_ticks)
        score = whole if plan.primer_in_output else new
        facts = of_song(common, number, attempt, score)
        score = replace(score, texts=((0, json.dumps(facts)), *score.texts))
        report = self._report(sampled, facts, score, len(new.notes))
        new_bars = self._bars(sampled.ids) - self._bars(plan.prefix)
        if plan.start is not None:
            report["start"] = {"name": plan.start.name, "bars": round(plan.start.bars, 3)}
        report["closed_at_limit"] = not plan.length.given and new_bars >= MAX_BARS
        start_tick = 0 if plan.primer_in_output else primer_ticks
        told = surprise(self.codec, sampled.ids, sampled.nats, whole, start_tick)
        given = plan.prefix is not None and plan.primer_in_output
        is_new = score.notes["onset_tick"] >= primer_ticks if given else None
        return Song(score, sampled.ids, report["illegal"] == 0, report, told, sampled.nats, is_new)

    def _report(
        self, sampled: Sampled, facts: dict[str, Any], score: Score, new_notes: int, new: np.ndarray | None = None
    ) -> dict[str, Any]:
        """What is to be told of a song; `new`: which of its last ids are, bool [nats]; None: all."""
        new = np.ones(len(sampled.nats), bool) if new is None else new
        last_ids = sampled.ids[len(sampled.ids) - len(sampled.nats) :]
        nats = sampled.nats[new & self.codec.scored(last_ids)]
        groups = last_ids.reshape(-1, self.codec.group_size)[new.reshape(-1, self.codec.group_size).any(axis=1)]
        return {
            "seed": facts["seed"],
            "number": facts["song"],
            "attempt": facts["attempt"],
            "temperature": facts["sampling"]["temperature"],
            "ids": len(sampled.ids),
            "new_ids": int(new.sum()),
            "notes": len(score.notes),
            "new_notes": new_notes,
            "seconds": round(score.length_s, 3),
            "bars": len(score.bar_ticks()) - 1 - (score.pickup_tick > 0),  # an upbeat completes the last bar
            "nats_per_token": float(nats.mean()) if len(nats) else 0.0,
            "illegal": int((~self.codec.grammar.legal(sampled.ids)).sum()),
            "loops": loop_share(groups),
            "overruled": sampled.overruled,
            "overlong": sampled.overlong,
            "stuck": sampled.stuck,
            "closed_at_limit": False,
        }

    def _infill(self, plan: Plan, task: Task, attempts: dict[int, int]) -> dict[int, Song]:
        """The piece with its gap written anew, by number of the song."""
        facts, given = facts_about(plan, self.name, self.folder.sha256), task.given(self.codec)
        written = infill(
            self.model,
            self.codec.grammar,
            given,
            [generator_of(plan, i + 1, attempt) for i, attempt in sorted(attempts.items())],
            settings=plan.sampling,
            particles=task.particles,
            controls=plan.control,
            weights=plan.weights,
        )
        return {
            i: self._infilled(infilled, task, choices(self.codec, given, infilled.ids), facts, i + 1, attempts[i])
            for i, infilled in zip(sorted(attempts), written, strict=True)
        }

    def _infilled(
        self, infilled: Infilled, task: Task, chosen: np.ndarray, common: dict[str, Any], number: int, attempt: int
    ) -> Song:
        """The piece with what was written in its gap; `chosen`: which ids were drawn of several, bool [N]."""
        result = task.splice(self.codec, infilled.ids)
        ticks = id_ticks(self.codec, infilled.ids, self.codec.decode(infilled.ids))[-len(infilled.nats) :]
        start, end = task.gap.music
        new = (ticks >= start) & (ticks < end) & np.isfinite(infilled.nats)
        new &= chosen[-len(infilled.nats) :]
        facts = of_song(common, number, attempt, result.score)
        texts = [text for text in task.piece.texts if not text[1].startswith(BEGINNING)]  # another song's provenance
        score = replace(result.score, texts=((0, json.dumps(facts)), *texts))
        report = self._report(infilled, facts, score, result.written, new)
        names = track_names(score)
        report["infill"] = {
            "bars": task.bars,
            "keep": task.keep,
            "voices": {voice: names[track] for voice, track in result.voices.items()},
            "particles": task.particles,
            "effective_particles": round(infilled.effective, 1),
            "removed_notes": result.removed,
            "trimmed_notes": result.trimmed,
        }
        return Song(score, infilled.ids, report["illegal"] == 0, report, None, infilled.nats, result.new)
