"""What of a piano roll is given: 88 keys a frame, some of its cells free."""

from __future__ import annotations

import numpy as np

from lstmusic.events import frames_grammar as g
from lstmusic.events.given import Given


class FramesGiven(Given):
    """See the module.

    Args:
        grammar: of the piece.
        ids: the piece, int [N].
        first_frame, end_frame: the frames first_frame..end_frame-1 are the gap.
    """

    def __init__(self, grammar: g.FramesGrammar, ids: np.ndarray, first_frame: int, end_frame: int) -> None:
        groups = np.asarray(ids, np.int64).reshape(-1, g.NUM_KEYS)
        self.grammar, down = grammar, g.down(groups[1:-1])
        self.frames = len(down)
        free = _free(down, first_frame, end_frame)
        self._ids = np.zeros((self.frames + 1, g.NUM_KEYS, len(g.VOCABULARY)), bool)
        self._ids[:-1] = np.where(down[..., None], g.IS_DOWN, g.IS_UP)
        self._ids[:-1][free] = g.IS_DOWN | g.IS_UP
        self._ids[-1, :, g.EOS] = True
        places = np.flatnonzero(free)
        self._last_free = int(places[-1]) if len(places) else -1
        self._lone = len(places) > 0 and not down[~free].any()  # there is no note but those to be written
        self.prefix = groups[: 1 + (int(places[0]) // g.NUM_KEYS if len(places) else self.frames)].reshape(-1)

    def mask(self, state: np.ndarray) -> np.ndarray:
        frame, key = np.minimum(state["frame"], self.frames), state["member"].astype(np.int64)
        mask = self.grammar.allowed(state)
        music = state["phase"] < g.ENDING
        mask[music] &= self._ids[frame, key][music]
        if self._lone:
            mask[music & (frame * g.NUM_KEYS + key == self._last_free) & ~state["struck"]] &= g.IS_DOWN
        return mask

    def open(self, state: np.ndarray) -> np.ndarray:
        place = state["frame"] * g.NUM_KEYS + state["member"]
        return (state["phase"] < g.ENDING) & (place <= self._last_free)


def _free(down: np.ndarray, first_frame: int, end_frame: int) -> np.ndarray:
    """The cells inside the gap, bool [T, 88], but for those of notes that sound outside it, and those beside these.

    Args:
        down: bool [T, 88]. A note is a run of frames in which its key is down.
    """
    frames = np.arange(len(down))[:, None]
    # The last frame before each, and the first after it, in which the key is up; the frame itself if it is.
    up_before = np.maximum.accumulate(np.where(down, -1, frames), axis=0)
    up_after = np.minimum.accumulate(np.where(down, len(down), frames)[::-1], axis=0)[::-1]
    given = down & ((up_before + 1 < first_frame) | (up_after > end_frame))
    beside = np.zeros_like(given)
    beside[1:] |= given[:-1]
    beside[:-1] |= given[1:]
    return (frames >= first_frame) & (frames < end_frame) & ~given & ~beside
