"""The state machine of the `frames` encoding: a piano's 88 keys, one id each per frame, down or up.

A piece is a BOS group, the first frame (FIRST), more frames (KEY) and an EOS group; in a frame the lowest key comes first.
The first frame has ids of its own, because the literature scores the frames from the second on.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events.grammar import Context, Grammar, whole_steps
from lstmusic.events.vocabulary import Vocabulary

LOWEST_KEY = 21  # A0, the first of a piano's 88 keys
NUM_KEYS = 88
QUARTERS_PER_BAR = 4
SECONDS_PER_QUARTER = 0.5  # a frame tells no tempo: MIDI's default

VOCABULARY = Vocabulary([("KEY", 0, 1), ("FIRST", 0, 1), ("BOS", 0, 0), ("EOS", 0, 0)])
BOS, EOS = VOCABULARY.id("BOS"), VOCABULARY.id("EOS")
FRAME_KINDS = ("KEY", "FIRST")

FIRST, LATER, ENDING, DONE = range(4)
STATE = np.dtype(
    [
        ("phase", "i1"),
        ("member", "i1"),  # the key that comes next
        ("frame", "<i4"),  # frames completed
        ("struck", "?"),  # some key was down
    ]
)
IS_UP, IS_DOWN = (
    np.isin(np.arange(len(VOCABULARY)), [VOCABULARY.id(kind, down) for kind in FRAME_KINDS]) for down in (0, 1)
)


def down(ids: np.ndarray) -> np.ndarray:
    """bool: the ids that say of a key that it is down."""
    return IS_DOWN[ids]


def _choices() -> tuple[np.ndarray, np.ndarray]:
    """What is allowed, and what closes: bool [row, V], a row for each phase, at the first key or not, struck or not."""
    allowed = np.zeros((4, 2, 2, len(VOCABULARY)), bool)
    allowed[FIRST, ..., VOCABULARY.slice_of("FIRST")] = True
    allowed[LATER, ..., VOCABULARY.slice_of("KEY")] = True
    allowed[LATER, 1, 1, EOS] = True
    allowed[ENDING:, ..., EOS] = True
    closing = allowed.copy()
    for phase, kind in ((FIRST, "FIRST"), (LATER, "KEY")):
        closing[phase, :, 0, VOCABULARY.id(kind, 0)] = False  # a piece without a note cannot end
    closing[LATER, 1, 1, VOCABULARY.slice_of("KEY")] = False
    return allowed.reshape(16, -1), closing.reshape(16, -1)


ALLOWED, CLOSING = _choices()


class FramesGrammar(Grammar):
    """See the module.

    Args:
        frames_per_quarter: what a bar and a second are made of.
    """

    vocabulary = VOCABULARY
    group_size = NUM_KEYS
    num_flags = 0

    def __init__(self, frames_per_quarter: int) -> None:
        self.frames_per_quarter = frames_per_quarter
        self.feature_sizes: dict[str, int] = {}

    def start(self, batch: int) -> np.ndarray:
        return np.zeros(batch, STATE)

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        ids = np.asarray(ids, np.int64)
        state["struck"] |= down(ids)
        state["phase"][(state["phase"] == LATER) & (ids == EOS)] = ENDING
        last, phase = state["member"] == NUM_KEYS - 1, state["phase"].copy()
        state["frame"] += last & (phase < ENDING)
        state["phase"][last & (phase == FIRST)] = LATER
        state["phase"][last & (phase == ENDING)] = DONE
        state["member"] = (state["member"] + 1) % NUM_KEYS

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        groups = np.asarray(ids).reshape(-1, NUM_KEYS)
        state = self.start(groups.size).reshape(groups.shape)
        if len(groups) < 2:
            return state.reshape(-1)
        frames, states = groups[1:], state[1:]
        states["member"] = np.arange(NUM_KEYS)
        ended = _after_the_first(frames == EOS)
        states["struck"] = _after_the_first(down(frames))
        states["frame"] = np.arange(len(frames))[:, None]
        states["phase"] = np.where(ended, ENDING, LATER)
        states["phase"][0][~ended[0]] = FIRST
        over = np.flatnonzero(ended[:, 0])
        states["phase"][over[:1].item() if len(over) else len(frames) :] = DONE
        return state.reshape(-1)

    def allowed(self, state: np.ndarray) -> np.ndarray:
        return ALLOWED.take(self._row(state), axis=0)

    def closing(self, state: np.ndarray) -> np.ndarray:
        return CLOSING.take(self._row(state), axis=0)

    @staticmethod
    def _row(state: np.ndarray) -> np.ndarray:
        return state["phase"].astype(np.intp) * 4 + (state["member"] == 0) * 2 + state["struck"]

    def within(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        left = self.steps_left(state, bars, seconds)
        mask = np.ones((*state.shape, len(VOCABULARY)), bool)
        mask[..., EOS] = np.isinf(left)
        last = (left == 1) & (state["member"] == NUM_KEYS - 1)  # a piece without a note cannot end
        mask[(last & ~state["struck"])[..., None] & IS_UP] = False
        return mask

    def steps_left(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        quarters = np.minimum(bars * QUARTERS_PER_BAR, seconds / SECONDS_PER_QUARTER)
        return np.broadcast_to(whole_steps(quarters * self.frames_per_quarter), state.shape)

    def features(self, state: np.ndarray) -> Context:
        return Context(np.zeros((*state.shape, 0), np.int16), np.zeros((*state.shape, 0), bool))

    def finished(self, state: np.ndarray) -> np.ndarray:
        return state["phase"] == DONE

    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        quarters = state["frame"] / self.frames_per_quarter
        return quarters / QUARTERS_PER_BAR, quarters * SECONDS_PER_QUARTER


def _after_the_first(where: np.ndarray) -> np.ndarray:
    """bool, of the shape of `where`: the places, in reading order, after its first True."""
    flat = where.reshape(-1)
    first = int(np.argmax(flat)) if flat.any() else len(flat)
    return (np.arange(len(flat)) > first).reshape(where.shape)
