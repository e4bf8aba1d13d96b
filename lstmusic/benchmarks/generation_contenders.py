"""The models that `table=generation` lets write, and how long one step of each takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import nn

from lstmusic.benchmarks import arithmetic, bandwidth
from lstmusic.benchmarks.arithmetic import wait_for
from lstmusic.benchmarks.bare_models import BareModel
from lstmusic.benchmarks.generation_peers import (
    BareSong,
    Gpt2Song,
    OwnSong,
    Song,
    cache_size,
    gpt2,
    gpt2_shape,
)
from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.sampling.products import WEIGHTS
from lstmusic.training.checkpoint import build_model

OWN, PLAIN, WITHOUT_ONEDNN, ATTENTION = "lstmusic", "nn.LSTM", "nn.LSTM without oneDNN", "GPT-2"
ENCODING = "performance"
LENGTHS = (256, 1024, 8192)  # ids of a song
PLACES = (1, *(length - 1 for length in LENGTHS))  # ids that a GPT-2 has in its cache when it is timed
TURN_S = 0.2
MEMORY_LIMIT = {"cpu": 6 * 10**9, "cuda": 40 * 10**9}  # bytes of a GPT-2's keys and values
BYTES = {"float32": 4, "float16": 2, "int8": 1}


class Size(NamedTuple):
    """L layers of H units."""

    layers: int
    hidden: int

    def __str__(self) -> str:
        return f"{self.layers}×{self.hidden}"


@dataclass
class Contender:
    """One that writes songs.

    Attributes:
        song: None where there can be none; `words` says why.
        places: where in a song a step is timed; one that is as fast everywhere has one.
        matrix_bytes: what is read for each id when there is one song.
        seconds: the best time of a step, by place.
    """

    name: str
    parameters: int
    song: Song | None
    weights: str = "float32"
    places: tuple[int, ...] = (1,)
    matrix_bytes: int | None = None
    context: Callable[[], AbstractContextManager] = nullcontext
    words: str | None = None
    seconds: dict[int, float] = field(default_factory=dict)

    def turn(self, device: torch.device) -> None:
        """Write for a while at each place."""
        if self.song is None:
            return
        with torch.inference_mode(), self.context():
            for place in reversed(self.places):  # so a cache is cut rather than made anew
                self.song.start(place)
                seconds = seconds_per_step(self.song.step, device)
                self.seconds[place] = min(seconds, self.seconds.get(place, seconds))

    def mean_seconds(self, length: int | None = None) -> float | None:
        """Of one step; over a song of so many ids, straight from place to place. None: it was not timed that far."""
        if length is None:
            return self.seconds.get(self.places[0]) if self.places else None
        if length - 1 not in self.seconds:
            return None
        places = [place for place in self.places if place < length]
        area = sum((b - a) * (self.seconds[a] + self.seconds[b]) / 2 for a, b in pairwise(places))
        return area / (places[-1] - places[0])


def seconds_per_step(step: Callable[[], None], device: torch.device) -> float:
    """The mean time of a step over a turn; the first step is not counted."""
    step()
    wait_for(device)
    started, count = time.perf_counter(), 0
    while not count or time.perf_counter() < started + TURN_S:
        step()
        count += 1
    wait_for(device)
    return (time.perf_counter() - started) / count


def own_model(size: Size) -> RecurrentLanguageModel:
    """An untrained model of the encoding; everything but its size is the default."""
    sizes = {"cell": "lstm", "hidden_size": size.hidden, "num_layers": size.layers}
    return cast("RecurrentLanguageModel", build_model(codecs.build(ENCODING), sizes)).eval()


class Models:
    """The models of one size, and everyone who writes with them."""

    def __init__(self, size: Size, device: torch.device) -> None:
        self.device = device
        self.own = own_model(size).to(device)
        num_ids = self.own.embedding.num_embeddings
        self.bare = BareModel("lstm", num_ids, size.hidden, size.layers).to(device).eval()
        self.shape = gpt2_shape(_count(self.own), num_ids, LENGTHS[-1])
        self.gpt2 = gpt2(self.shape, num_ids, LENGTHS[-1], device)

    def contenders(self, batch: int) -> list[Contender]:
        """Everyone, for so many songs side by side."""
        return [*self._own(batch), *self._bare(batch), self._gpt2(batch)]

    def _own(self, batch: int) -> Iterator[Contender]:
        for weights in WEIGHTS:
            song, words = None, None
            try:
                song = OwnSong(self.own, batch, weights)
            except ConfigError as error:  # this machine has no such weights
                words = str(error)
            size = BYTES[weights] * bandwidth.own_entries(self.own)
            yield Contender(OWN, _count(self.own), song, weights, matrix_bytes=size, words=words)

    def _bare(self, batch: int) -> Iterator[Contender]:
        names: dict[str, Callable[[], AbstractContextManager]] = {PLAIN: nullcontext}
        if self.device.type == "cpu":
            names[WITHOUT_ONEDNN] = partial(torch.backends.mkldnn.flags, enabled=False)
        for name, context in names.items():
            size = BYTES["float32"] * arithmetic.bare_entries(self.bare)
            song = BareSong(self.bare, batch)
            yield Contender(name, _count(self.bare), song, matrix_bytes=size, context=context)

    def _gpt2(self, batch: int) -> Contender:
        limit = MEMORY_LIMIT[self.device.type]
        sizes = {place: cache_size(self.shape, batch, place) for place in PLACES}
        places = tuple(place for place, size in sizes.items() if size <= limit)
        words = f"{self.shape.layers} layers of {self.shape.width}, inner {self.shape.inner}"
        if too_much := [size for size in sizes.values() if size > limit]:
            words += f"; {too_much[-1] / 1e9:.1f} GB of keys and values at the longest, the limit is {limit / 1e9:.0f}"
        return Contender(ATTENTION, _count(self.gpt2), Gpt2Song(self.gpt2, batch), places=places, words=words)


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
