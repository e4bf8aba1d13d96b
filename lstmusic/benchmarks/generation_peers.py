"""Who writes songs id by id in `table=generation`: lstmusic's stepper, torch's own layers, a GPT-2 with its cache."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lstmusic.benchmarks.bare_models import BareModel
from lstmusic.benchmarks.peers import peer
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.sampling import stepper

HEAD_WIDTH = (
    64  # of an attention head, and a model's width over its depth, as in the smallest GPT-2 (Radford et al. 2019)
)
INNER = 4  # the width of a layer's inner part over its own, as published
ROUND = 64  # inner parts are multiples of it
MOST_LAYERS = 48
FLOAT_BYTES = 4
SOUNDING = 0.03  # the share of flags that are set: four keys of 128


def draw(logits: Tensor) -> Tensor:
    """One id per song by inverse transform: int64 [B, 1] from logits [B, V]."""
    cumulative = torch.softmax(logits, dim=-1).cumsum(-1)
    uniform = torch.rand(len(logits), 1, device=logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, uniform, right=True).clamp_(max=logits.shape[-1] - 1)


class Song(Protocol):
    """B songs in the making."""

    def start(self, place: int) -> None:
        """Stand where so many ids are written."""

    def step(self) -> None:
        """Write one id for every song."""


class OwnSong:
    """The stepper. Context features are made up and stay as they are: reading them takes as long as reading real ones."""

    def __init__(self, model: RecurrentLanguageModel, batch: int, weights: str) -> None:
        device = model.device
        self.stepper = stepper.build(model, batch, weights)
        self.stepper.load(model.initial_state(1))
        flags = 0 if model.stack_flags is None else model.stack_flags.in_features
        self.columns = torch.zeros(batch, len(model.feature_offsets), dtype=torch.int64, device=device)
        self.flags = torch.rand(batch, flags, device=device) < SOUNDING
        self.ids = torch.zeros(batch, 1, dtype=torch.int64, device=device)
        self.none = self.ids[:, :0]

    def start(self, place: int) -> None:
        """Every place is like every other: the next rows of the table show that."""

    def step(self) -> None:
        """Read, logits, draw."""
        self.stepper.read(self.ids, self.columns, self.flags)
        self.ids = draw(self.stepper.logits(self.none, self.columns, self.flags))


class BareSong:
    """torch's recurrent layers, called once per id."""

    def __init__(self, model: BareModel, batch: int) -> None:
        self.model, self.state = model, None
        self.ids = torch.zeros(batch, 1, dtype=torch.int64, device=model.output.weight.device)

    def start(self, place: int) -> None:
        """Every place is like every other."""

    def step(self) -> None:
        """Embedding, layers, linear map, draw."""
        logits, self.state = self.model(self.ids, self.state)
        self.ids = draw(logits[:, -1])


class Shape(NamedTuple):
    """A GPT-2: L layers of width D, whose inner parts are wider."""

    layers: int
    width: int
    inner: int

    def parameters(self, num_ids: int, positions: int) -> int:
        """How many numbers it learns: the tables of ids and of positions, the last norm, the layers."""
        layer = (4 * self.width + 9 + 2 * self.inner) * self.width + self.inner
        return (num_ids + positions + 2) * self.width + self.layers * layer


def gpt2_shape(parameters: int, num_ids: int, positions: int) -> Shape:
    """A GPT-2 of about so many parameters, its proportions as near to the published ones as they can be.

    The table of positions counts. Without it the layers would be larger, and slower.

    Raises:
        ValueError: there is none of so few.
    """
    shapes = []
    for width in range(HEAD_WIDTH, math.isqrt(parameters) + 1, HEAD_WIDTH):
        for layers in range(1, MOST_LAYERS + 1):
            fixed, wider = (Shape(layers, width, inner).parameters(num_ids, positions) for inner in (0, 1))
            inner = ROUND * round((parameters - fixed) / (wider - fixed) / ROUND)
            if inner >= width:
                shapes.append(Shape(layers, width, inner))
    if not shapes:
        raise ValueError(f"{parameters} parameters, {positions} positions: expected more for a GPT-2")

    def distance(shape: Shape) -> float:
        slimness, plumpness = shape.width / shape.layers / HEAD_WIDTH, shape.inner / shape.width / INNER
        return abs(math.log(slimness)) + abs(math.log(plumpness))

    return min(shapes, key=distance)


def gpt2(shape: Shape, num_ids: int, positions: int, device: torch.device) -> Any:
    """An untrained GPT-2 by Hugging Face, in evaluation mode; needs the extra `bench`."""
    library = peer("transformers")
    config = library.GPT2Config(
        vocab_size=num_ids,
        n_positions=positions,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.width // HEAD_WIDTH,
        n_inner=shape.inner,
        bos_token_id=0,
        eos_token_id=1,
    )
    return library.GPT2LMHeadModel(config).to(device).eval()


def cache_size(shape: Shape, batch: int, place: int) -> int:
    """Bytes of the keys and values of songs of so many ids; one layer's are there twice while an id is added."""
    return 2 * FLOAT_BYTES * (shape.layers + 1) * shape.width * batch * place


class Gpt2Song:
    """A GPT-2 and its cache, which is filled with random keys and values: they take as long to attend to as real ones."""

    def __init__(self, model: Any, batch: int) -> None:
        self.model, self.batch, self.place = model, batch, 0
        self.ids = torch.zeros(batch, 1, dtype=torch.int64, device=model.device)
        self.cache: Any = None

    def start(self, place: int) -> None:
        """Stand where so many ids are in the cache: what is beyond is cut, what is missing is made up."""
        if self.cache is None or self.cache.get_seq_length() < place:
            self.cache = None  # the old one goes before the new one comes
            self.cache = self._made_up(place)
        self.place = place

    def step(self) -> None:
        """Write the id after `place`, again and again: what the step before added is cut."""
        if too_many := self.cache.get_seq_length() - self.place:
            self.cache.crop(-too_many)
        logits = self.model(input_ids=self.ids, past_key_values=self.cache, use_cache=True).logits
        self.ids = draw(logits[:, -1])

    def _made_up(self, place: int) -> Any:
        config, cache = self.model.config, peer("transformers").DynamicCache()
        for layer in range(config.n_layer):
            one = [torch.rand(1, config.n_head, place, HEAD_WIDTH, device=self.model.device) for _ in range(2)]
            cache.update(*(part.expand(self.batch, -1, -1, -1) for part in one), layer)
        return cache
