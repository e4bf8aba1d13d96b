"""What a model would write beyond what is given, it waits with until that has come.

In a piece of which some is given, ids are masked that would pass by what is given: a shift to after a given note, a note
above one that has to be struck now. Left out of the draw, they would leave it to what may come before: ever more notes. So
their probability goes to the id that stands for all of them, the shift to that note or the note itself, and the weight of a
song makes up for it: the probability of each id over that by which it was drawn, as in all importance sampling.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.events.given import NONE


class Beyond(NamedTuple):
    """What lies beyond what is given, for B songs.

    Attributes:
        masked: bool [B, V], the legal ids that may not come.
        latest: int64 [B], the ids that stand for them; `NONE`: none does, and they are left out. See `Given.latest`.
    """

    masked: np.ndarray
    latest: np.ndarray

    def _mass(self, nats: np.ndarray) -> np.ndarray:
        """log of the sum over what is masked, float64 [B], of exp of so many nats, float64 [B, V]."""
        return np.logaddexp.reduce(np.where(self.masked, nats, -np.inf), axis=1)

    def proposed(self, logits: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits, float64 [B, V], and the mask by which ids are drawn: what stands for others can always come."""
        rows = np.flatnonzero(self.latest != NONE)
        at = rows, self.latest[rows]
        logits, mask = logits.copy(), mask.copy()
        logits[at] = np.logaddexp(logits[at], self._mass(logits)[rows])
        mask[at] = True
        return logits, mask

    def log_weight(self, nats: np.ndarray, kept: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """log of the weight of each id that was drawn, float64 [B].

        Args:
            nats: log of what each id has in the target, float64 [B, V].
            kept: log of the sum over the ids that may come, float64 [B]: the weight where nothing stands for others.
            ids: int64 [B].
        """
        rows = np.flatnonzero(self.latest != NONE)
        weight, own, stood_for = kept.copy(), nats[rows, self.latest[rows]], self._mass(nats)[rows]
        share = own - np.logaddexp(own, stood_for)  # of what stands for others, what is its own
        weight[rows] = np.logaddexp(kept[rows], stood_for) + np.where(ids[rows] == self.latest[rows], share, 0.0)
        return weight
