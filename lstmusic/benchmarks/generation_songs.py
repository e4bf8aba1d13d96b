"""Rows of `table=generation`: the time per id early and late in one song, and complete songs.

- Songs of 100,000 ids, 2 layers of 512, written through: the median time of a step over the `WINDOW` steps before a place.
  The stepper alone writes one song; the sampler writes a block of 16, as it does for any number up to that, with all that
  belongs to it: the grammar's mask, context features, the loop detector, the draw. It is told of a length that it does not
  reach, so that no song ends.
- Complete songs of the bundled model, `BARS` bars each: ids per second of all songs, with the stepper, and with the model's
  own `step` and `member_logits` in its place (`times_model_step`). The same generators, in turns; the best turn counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from lstmusic import music_model
from lstmusic.benchmarks.arithmetic import wait_for
from lstmusic.benchmarks.generation_contenders import ENCODING, Size, own_model
from lstmusic.benchmarks.generation_peers import OwnSong
from lstmusic.events import codec as codecs
from lstmusic.events.grammar import Grammar
from lstmusic.models.model import Model
from lstmusic.models.stack import State
from lstmusic.sampling import stepper
from lstmusic.sampling.controls import BoundControls, Controls
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.songs import BLOCK, Rules, Songs

SIZE = Size(2, 512)
PLACES = (256, 8192, 100_000)
WINDOW = 200
BUNDLED, BARS, SONGS, TURNS = "bach", 8.0, (1, 16, 64), 2
Found = dict[str, Any]
AnyStepper = stepper.Stepper | stepper.FrameStepper


def rows(
    device: torch.device,
    note: Callable[[str], None],
    *,
    places: tuple[int, ...] = PLACES,
    songs: tuple[int, ...] = SONGS,
    turns: int = TURNS,
) -> Iterator[Found]:
    """The rows; see the module."""
    model = own_model(SIZE).to(device)
    writers: dict[tuple[str, int], Callable[[], None]] = {
        ("stepper, at this id of a song", 1): OwnSong(model, 1, "float32").step,
        ("sampler, at this id of a song", BLOCK): endless(model).write_group,
    }
    for (name, batch), step in writers.items():
        note(f"{name}: {batch} songs up to id {places[-1]:,}")
        for place, seconds in late(step, places, device).items():
            speed = {"us_per_step": 1e6 * seconds, "tokens_per_second": batch / seconds}
            yield {"name": name, "size": str(SIZE), "batch": batch, "weights": "float32", "song_ids": place, **speed}
    for number in songs:
        yield from _complete(number, turns, note, device)


def late(step: Callable[[], None], places: tuple[int, ...], device: torch.device) -> dict[int, float]:
    """The median seconds of a step over the `WINDOW` steps before each place of one long song."""
    seconds = dict[int, float]()
    written = 0
    with torch.inference_mode():
        for place in places:
            window = min(WINDOW, place - written)
            for _ in range(place - written - window):
                step()
            wait_for(device)
            seconds[place] = statistics.median(_timed(step, device) for _ in range(window))
            written = place
    return seconds


def endless(model: Model) -> Songs:
    """A block of songs that the sampler has begun and that do not end."""
    grammar, length = codecs.build(ENCODING).grammar, Length(seconds=1e9, cadence=False)
    return begun(grammar, stepper.build(model, BLOCK), model.initial_state(1), length, BLOCK)


def begun(grammar: Grammar, writer: AnyStepper, state: State, length: Length, number: int) -> Songs:
    """A block of so many songs as the sampler begins them, with the settings that it has by itself.

    Args:
        writer: what steps the model. state: the model's before the first group, of one song.
    """
    rules = Rules(grammar, writer, BoundControls(Controls(), grammar), SamplingSettings(), length, Repetition())
    generators = [np.random.default_rng(k) if k < number else None for k in range(BLOCK)]
    previous = torch.from_numpy(grammar.bos()).to(writer.device).repeat(BLOCK, 1)
    songs = Songs(rules, generators, grammar.start(BLOCK), previous, state)
    songs.resume()
    return songs


def _complete(number: int, turns: int, note: Callable[[str], None], device: torch.device) -> Iterator[Found]:
    """So many whole songs of the bundled model, with the stepper and without."""
    loaded = music_model.load(BUNDLED)
    model, grammar = loaded.model.to(device), loaded.codec.grammar
    builders: dict[str, Callable[[Any, int], AnyStepper]]
    builders = {"stepper": stepper.build, "model.step": stepper.FrameStepper}
    speed = dict.fromkeys(builders, 0.0)
    for turn in range(turns):
        for way, build in builders.items():
            note(f"turn {turn + 1} of {turns}: {number} songs by {way}")
            started, ids = time.perf_counter(), 0
            writer = build(model, BLOCK)  # once for all blocks, as the sampler does
            for first in range(0, number, BLOCK):
                length, count = Length(bars=BARS, cadence=False), min(BLOCK, number - first)
                ids += _to_end(begun(grammar, writer, model.initial_state(1), length, count))
            speed[way] = max(speed[way], ids / (time.perf_counter() - started))
    own = {"times_model_step": speed["stepper"] / speed["model.step"]}
    for way in builders:
        about = {"name": f"whole songs by {way}", "batch": number, "weights": "float32", "words": f"model {BUNDLED}"}
        yield about | {"tokens_per_second": speed[way]} | (own if way == "stepper" else {})


@torch.inference_mode()
def _to_end(songs: Songs) -> int:
    """Write on until every song has ended; how many ids that are."""
    ids = 0
    while not songs.finished.all():
        ids += int((~songs.finished).sum()) * songs.grammar.group_size
        songs.write_group()
    return ids


def _timed(step: Callable[[], None], device: torch.device) -> float:
    started = time.perf_counter()
    step()
    wait_for(device)
    return time.perf_counter() - started
