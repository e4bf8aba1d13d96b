"""A piece, or a song of a model, stopped after so many bars: a snapshot that songs go on from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.codec import Codec
from lstmusic.provenance import Plan
from lstmusic.sampling.replay import state_after
from lstmusic.sampling.snapshot import Origin, Snapshot
from lstmusic.sampling.songs import BLOCK
from lstmusic.schema.checks import of_kind
from lstmusic.score import Score
from lstmusic.training.checkpoint import ModelFolder
from lstmusic.writing import Song, drawn_before


def stopped(folder: ModelFolder, checkpoint: str, music: Score | Song, bars: int | None, name: str) -> Snapshot:
    """Where a piece stands after so many bars.

    What a model wrote itself carries the state that it had then, to the bit; but for the last two bars of a song of given
    length with a cadence, which are one of many ways written side by side: none of them can be gone on with so. What it
    was given it hears: a piece, the primer of a song, a song that is a piece rewritten in part.

    Args:
        folder: the model. checkpoint: what it was opened by.
        bars: how many, an upbeat before them not counted; None: all of it, before its ending.
        name: what the snapshot is to be called.

    Raises:
        ConfigError: there are not so many bars, or another model wrote the song.
        ReadError: the piece has no notes that the encoding can carry.
    """
    of_kind("snapshot", music, Score | Song, "a Score, as Score.read gives it, or a song of the model")
    codec, plan, origin = folder.codec, Plan(), None
    if isinstance(music, Score):
        ids = so_far(codec, codec.encode(music).astype(np.int64), bars)
    else:
        facts = json.loads(music.score.texts[0][1])
        if facts["model_sha256"] != folder.sha256:
            raise ConfigError(f"snapshot: the song is of the model {facts['checkpoint']}, expected one of {checkpoint}")
        ids, plan = so_far(codec, music.ids, bars), Plan.of(facts)
        origin = _origin(plan, facts["song"], facts["attempt"], len(ids) - _begun(codec, plan))
    state, told = state_after(
        folder.model,
        codec.grammar,
        ids,
        ids if origin is None else ids[: _begun(codec, plan)],
        row=0 if origin is None else (origin.song - 1) % BLOCK,
        start=None if origin is None else plan.start,
        controls=plan.control,
        weights=plan.weights,
    )
    snapshot = Snapshot(ids, state, folder.sha256, name, told, origin, checkpoint, codec.name)
    return replace(snapshot, bars=snapshot.length(codec.grammar)[0])


def _begun(codec: Codec, plan: Plan) -> int:
    """How many ids the songs of a plan begin with."""
    return codec.group_size if plan.prefix is None else len(plan.prefix)


def _origin(plan: Plan, song: int, attempt: int, new_ids: int) -> Origin | None:
    """Where in a song so many ids after its beginning are; None: before them, or in a piece that is rewritten in part."""
    if plan.infill is not None or new_ids <= 0:
        return None
    return Origin(plan.seed, song, attempt, new_ids + drawn_before(plan, song, attempt))


def so_far(codec: Codec, ids: np.ndarray, bars: int | None) -> np.ndarray:
    """The whole groups of a piece, int64 [N], after which so many bars are over; None: all but its EOS group.

    Raises:
        ConfigError: there are not so many.
    """
    size, grammar = codec.group_size, codec.grammar
    last = len(ids) - size if ids[-size] == codec.vocabulary.id("EOS") else len(ids)
    if bars is None:
        return ids[:last]
    score = codec.decode(ids)
    lines, upbeat = score.bar_ticks(), int(score.pickup_tick > 0)
    whole = len(lines) - 1 - upbeat
    if not (isinstance(bars, int) and 1 <= bars <= whole):
        raise ConfigError(f"state.bar={bars}: expected 1 to {whole}, as many as there are, or none for the end")
    seconds = grammar.length(grammar.trajectory(np.r_[ids[:last], grammar.bos()])[2 * size :: size])[1]
    reached = np.flatnonzero(score.ticks(seconds) >= lines[bars + upbeat])  # after each group but BOS
    return ids[: size * (2 + int(reached[0]))] if len(reached) else ids[:last]  # an upbeat completes the last bar
