"""A piece, or a song of a model, stopped after so many bars: a snapshot that songs go on from."""

from __future__ import annotations

import json

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.codec import Codec
from lstmusic.provenance import Plan
from lstmusic.sampling.replay import state_after
from lstmusic.sampling.snapshot import Origin, Snapshot
from lstmusic.sampling.songs import BLOCK
from lstmusic.score import Score
from lstmusic.training.checkpoint import ModelFolder
from lstmusic.writing import Song, drawn_before


def stopped(folder: ModelFolder, checkpoint: str, music: Score | Song, bars: int | None, name: str) -> Snapshot:
    """Where a piece stands after so many bars.

    What a model wrote itself carries the state that it had then, to the bit. What it was given it hears: a piece, the
    primer of a song, a song that is a piece rewritten in part.

    Args:
        folder: the model. checkpoint: what it was opened by.
        bars: how many, an upbeat before them not counted; None: all of it, before its ending.
        name: what the snapshot is to be called.

    Raises:
        ConfigError: there are not so many bars, or another model wrote the song.
        ReadError: the piece has no notes that the encoding can carry.
    """
    codec = folder.codec
    plan, origin, begun = Plan(), None, 0
    if isinstance(music, Score):
        ids = so_far(codec, codec.encode(music).astype(np.int64), bars)
    else:
        facts = json.loads(music.score.texts[0][1])
        if facts["model_sha256"] != folder.sha256:
            raise ConfigError(f"snapshot: the song is of the model {facts['checkpoint']}, expected one of {checkpoint}")
        ids, plan = so_far(codec, music.ids, bars), Plan.of(facts)
        begun = len(codec.grammar.bos() if plan.prefix is None else plan.prefix)
        if plan.infill is None and len(ids) > begun:
            number, attempt = facts["song"], facts["attempt"]
            drawn = len(ids) - begun + drawn_before(plan, number, attempt)
            origin = Origin(plan.seed, number, attempt, drawn)
    wrote = origin is not None
    state, told = state_after(
        folder.model,
        codec.grammar,
        ids,
        ids[:begun] if wrote else ids,
        row=(origin.song - 1) % BLOCK if origin is not None else 0,
        start=plan.start if wrote else None,
        controls=plan.control,
        weights=plan.weights,
    )
    states = codec.grammar.trajectory(np.r_[ids, codec.grammar.bos()])[len(ids) :][:1]
    return Snapshot(
        ids=ids,
        state=state,
        model_sha256=folder.sha256,
        name=name,
        told=told,
        origin=origin,
        checkpoint=checkpoint,
        encoding=codec.name,
        bars=codec.grammar.length(states)[0].item(),
    )


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
    if not 1 <= bars <= whole:
        raise ConfigError(f"state.bar={bars}: expected 1 to {whole}, as many as there are, or none for the end")
    seconds = grammar.length(grammar.trajectory(np.r_[ids[:last], grammar.bos()])[2 * size :: size])[1]
    reached = np.flatnonzero(score.ticks(seconds) >= lines[bars + upbeat])  # after each group but BOS
    return ids[: size * (2 + int(reached[0]))] if len(reached) else ids[:last]  # an upbeat completes the last bar
