"""B contiguous streams of pieces, cut into windows of T steps: a pure function of (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lstmusic.events import conditions
from lstmusic.events.codec import Codec

ALIGNMENT = 16  # pieces begin at multiples of this many steps, so that a window breaks into few stretches
HALF_SHARE, JITTER_STEPS, MIN_STEPS = 0.05, 5.0, 5  # of windows that vary
BORDERS, CONDITIONS = 1, 2  # name the generators of their borders and of what is told, beside that of the plan
# Which of a piece's conditions the model is told in an epoch, and how often: nothing most of all
TOLD: tuple[tuple[slice, ...], ...] = (
    (),
    (conditions.DENSITY,),
    (conditions.PITCH_CLASSES,),
    (conditions.DENSITY, conditions.PITCH_CLASSES),
)
TOLD_SHARES = (0.4, 0.2, 0.2, 0.2)


class LanePiece(NamedTuple):
    """One piece on a lane, as it is played in one epoch."""

    piece: int
    start: int  # the step of the lane at which it begins
    steps: int
    semitones: int
    stretch: float


class Arrays(NamedTuple):
    """A window as NumPy arrays, field by field what `models.language_model.Window` holds; B lanes, T steps, G ids."""

    previous: np.ndarray
    targets: np.ndarray
    columns: np.ndarray
    flags: np.ndarray
    allowed: np.ndarray
    reset: np.ndarray
    weight: np.ndarray
    scored: np.ndarray


class Augmentation(NamedTuple):
    """What may be drawn anew for each piece and epoch.

    Attributes:
        max_semitones: shifts from -max_semitones to +max_semitones, within what the vocabulary holds.
        max_stretch: tempo factors from 1 - max_stretch to 1 + max_stretch.
    """

    max_semitones: int = 0
    max_stretch: float = 0.0


def piece_arrays(codec: Codec, ids: np.ndarray) -> Arrays:
    """A whole piece as one lane of one window: every group after BOS is a target ([T, G, ...], no lane axis)."""
    return _stretch_arrays(codec, _played(codec, ids), 0)


class _Played(NamedTuple):
    """A piece, or a stretch of one.

    Attributes:
        groups: int64 [T+1, G].
        states: [T+1, G], the grammar's state before each id.
        told: int16 [T+1, G, C], the conditions that the model is told; C is 0 where it is told none.
    """

    groups: np.ndarray
    states: np.ndarray
    told: np.ndarray

    def stretch(self, here: slice) -> _Played:
        return _Played(*(part[here] for part in self))


def _played(codec: Codec, ids: np.ndarray, kinds: tuple[slice, ...] = ()) -> _Played:
    """A whole piece; `kinds`: the columns of its conditions that the model is told."""
    ids = np.asarray(ids, np.int64)
    groups, states = ids.reshape(-1, codec.group_size), codec.grammar.trajectory(ids)
    told = np.zeros((len(ids), len(conditions.SIZES) if kinds else 0), np.int16)
    if kinds:
        measured = conditions.measured(codec.grammar, ids, states)
        for columns in kinds:
            told[:, columns] = measured[:, columns]
    return _Played(groups, states.reshape(groups.shape), told.reshape(*groups.shape, told.shape[1]))


def _stretch_arrays(codec: Codec, stretch: _Played, first: int) -> Arrays:
    """The arrays of a stretch of a piece whose first target is the piece's target number `first`."""
    groups, states, told = stretch
    context = codec.grammar.context(states[1:])
    context.columns[..., context.columns.shape[-1] - told.shape[-1] :] = told[1:]
    return Arrays(
        previous=groups[:-1],
        targets=groups[1:],
        columns=context.columns,
        flags=context.flags,
        allowed=codec.grammar.allowed(states[1:]),
        reset=first + np.arange(len(groups) - 1) == 0,
        weight=np.ones(groups[1:].shape, np.float32),
        scored=codec.scored(groups[1:]),
    )


class Lanes:
    """The windows of one split.

    Args:
        read: the ids of piece i, uint16 [N].
        steps: int [pieces], each piece's length in steps (groups after BOS), for the plan.
        codec: the encoding.
        num_lanes: B. window_steps: T.
        seed: with the epoch it decides the order and the augmentation.
        augmentation: drawn per piece and epoch; None: pieces stay as they are, in their own order.
        vary: draw each window's length: around T, one in twenty around T / 2 (Merity et al. 2018, section 5), the same
            for all lanes and processes.
        rank, world: this process and how many there are: each has B lanes of a plan for all of them.
    """

    def __init__(
        self,
        *,
        read: Callable[[int], np.ndarray],
        steps: np.ndarray,
        codec: Codec,
        num_lanes: int,
        window_steps: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        vary: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.codec, self.read, self.steps = codec, read, np.asarray(steps)
        self.num_lanes, self.window_steps = max(1, min(num_lanes, -(-len(self.steps) // world))), window_steps
        self.seed, self.augmentation, self.vary = seed, augmentation, vary
        self.rank, self.world = rank, world
        self.plan = lru_cache(maxsize=2)(self._plan)
        self.borders = lru_cache(maxsize=2)(self._borders)
        # Masks and features are many times larger than the states they follow from: only a window's are made.
        self._pieces = lru_cache(maxsize=4 * self.num_lanes)(self._load)

    def _plan(self, epoch: int) -> list[list[LanePiece]]:
        """The pieces of each lane of all processes in an epoch: in random order, each to the shortest lane so far."""
        rng = np.random.default_rng((self.seed, epoch))
        order = np.arange(len(self.steps)) if self.augmentation is None else rng.permutation(len(self.steps))
        ends = np.zeros(self.num_lanes * self.world, np.int64)
        lanes: list[list[LanePiece]] = [[] for _ in ends]
        for piece in order.tolist():
            semitones, stretch = self._draw(rng, piece)
            lane = int(np.argmin(ends))
            steps = int(self.steps[piece])
            if stretch != 1.0:  # other shifts, another number of ids
                steps = len(self.codec.augment(self.read(piece), semitones, stretch)) // self.codec.group_size - 1
            lanes[lane].append(LanePiece(piece, int(ends[lane]), steps, semitones, stretch))
            ends[lane] += -(-steps // ALIGNMENT) * ALIGNMENT
        return lanes

    def _draw(self, rng: np.random.Generator, piece: int) -> tuple[int, float]:
        if self.augmentation is None:
            return 0, 1.0
        semitones, stretch = 0, 1.0
        if self.augmentation.max_semitones:
            low, high = self.codec.transpositions(self.read(piece))
            limit = self.augmentation.max_semitones
            semitones = int(rng.integers(max(low, -limit), min(high, limit) + 1))
        if self.augmentation.max_stretch:
            stretch = float(1 + rng.uniform(-1, 1) * self.augmentation.max_stretch)
        return semitones, stretch

    def _borders(self, epoch: int) -> np.ndarray:
        """The steps of an epoch at which windows begin, and the one at which the last ends: when the longest lane has."""
        longest = max((lane[-1].start + lane[-1].steps for lane in self.plan(epoch) if lane), default=0)
        if not self.vary:
            return np.arange(-(-longest // self.window_steps) + 1) * self.window_steps
        rng = np.random.default_rng((self.seed, epoch, BORDERS))
        most = -(-longest // MIN_STEPS) + 1
        middle = np.where(rng.random(most) < HALF_SHARE, self.window_steps / 2, self.window_steps)
        lengths = np.maximum(MIN_STEPS, np.rint(rng.normal(middle, JITTER_STEPS))).astype(np.int64)
        borders = np.r_[0, lengths.cumsum()]
        return borders[: np.searchsorted(borders, longest) + 1]

    def num_windows(self, epoch: int) -> int:
        """How many windows the epoch has: until the longest lane ends."""
        return len(self.borders(epoch)) - 1

    def window(self, epoch: int, step: int) -> Arrays:
        """Window number `step` of an epoch; the state is carried from the window before it."""
        first, last = self.borders(epoch)[step : step + 2].tolist()
        mine = self.rank * self.num_lanes
        lanes = self.plan(epoch)[mine : mine + self.num_lanes]
        sample = _stretch_arrays(self.codec, self._pieces(epoch, 0, 0).stretch(slice(2)), 0)
        out = Arrays(*(np.zeros((self.num_lanes, last - first, *f.shape[1:]), f.dtype) for f in sample))
        out.allowed[...] = True
        for b, lane in enumerate(lanes):
            for k, item in enumerate(lane):
                begin, end = max(first, item.start), min(last, item.start + item.steps)
                if begin < end:
                    here = slice(begin - item.start, end - item.start + 1)
                    arrays = _stretch_arrays(self.codec, self._pieces(epoch, mine + b, k).stretch(here), here.start)
                    for field, values in zip(out, arrays, strict=True):
                        field[b, begin - first : end - first] = values
        return out

    def _told(self, epoch: int, piece: int) -> tuple[slice, ...]:
        """Which conditions of a piece the model is told in an epoch: none where pieces stay as they are."""
        if self.augmentation is None or not self.codec.grammar.conditions:
            return ()
        rng = np.random.default_rng((self.seed, epoch, CONDITIONS, piece))
        return TOLD[rng.choice(len(TOLD), p=TOLD_SHARES)]

    def _load(self, epoch: int, lane: int, index: int) -> _Played:
        item = self.plan(epoch)[lane][index]
        ids = self.read(item.piece)
        if item.semitones or item.stretch != 1.0:
            ids = self.codec.augment(ids, item.semitones, item.stretch)
        return _played(self.codec, ids, self._told(epoch, item.piece))
