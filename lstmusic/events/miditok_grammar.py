"""The state machine of a MidiTok tokenizer: which type of token may follow which, as MidiTok's own graph says.

A step is one token, or the tokens of a tokenizer with several vocabularies, whose steps have a few fixed patterns. A piece
may end where no note is left unfinished, once it has one. Within these types every value may come: a note-off of a pitch
that does not sound is legal here, and MidiTok's decoder passes over it.

A token that MidiTok has learned (BPE) stands for several: it may come where its first may, and leads where its last does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from lstmusic.events.grammar import Context, Grammar, latest, values_at
from lstmusic.events.vocabulary import Vocabulary

DEFAULTS = {"numerator": 4.0, "denominator": 4.0, "qpm": 120.0}  # until the piece says something else
STATE = np.dtype(
    [
        ("node", "<i2"),
        ("noted", "?"),  # a note has begun
        ("barred", "?"),  # a bar has begun
        ("numerator", "<f8"),
        ("denominator", "<f8"),
        ("qpm", "<f8"),
        ("bars", "<f8"),
        ("seconds", "<f8"),
    ]
)


class Meanings(NamedTuple):
    """What each id means, [V] each.

    Attributes:
        first, last: int, the kinds of the first and the last of the tokens that it stands for.
        noted: bool, whether a note begins.
        beats: float, how far the time moves on.
        bars: float, how many bars begin.
        numerator, denominator, qpm: float, what a new meter or tempo says; 0: nothing.
    """

    first: np.ndarray
    last: np.ndarray
    noted: np.ndarray
    beats: np.ndarray
    bars: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    qpm: np.ndarray


class MidiTokGrammar(Grammar):
    """The grammar of one tokenizer.

    Args:
        vocabulary: a kind's number is that of its range.
        meanings: of each id.
        patterns: by the type that a step is known by, the kinds of its ids.
        graph: by the type of a step, the types of those that may follow it, `EOS` among them; after `BOS` the first.
    """

    num_flags = 0

    def __init__(
        self,
        vocabulary: Vocabulary,
        meanings: Meanings,
        patterns: Mapping[str, Sequence[str]],
        graph: Mapping[str, Set[str]],
    ) -> None:
        self.vocabulary, self.meanings = vocabulary, meanings
        self.group_size = len(next(iter(patterns.values())))
        legal = self._connect({**patterns, "EOS": ("EOS",) * self.group_size}, graph)
        self.feature_sizes = {"node": len(legal)}
        self._allowed, self._closing = self._masks(legal)

    def _connect(self, patterns: Mapping[str, Sequence[str]], graph: Mapping[str, Set[str]]) -> np.ndarray:
        """Number the nodes, one for each type of step that has ended and for each way in which one may have begun.

        Fills `_lead` int16 [nodes, kinds]: the node that a kind leads to; from the end of any step, legal there or not.

        Returns:
            bool [nodes, kinds]: which kinds may come.
        """
        kind = {r.kind: k for k, r in enumerate(self.vocabulary.ranges)}
        begun = dict.fromkeys(tuple(p[:k]) for p in patterns.values() for k in range(1, self.group_size))
        ends = ["BOS", *patterns]
        node = {name: k for k, name in enumerate([*ends, *begun])}
        self._lead = np.zeros((len(node), len(kind)), np.int16)
        legal = np.zeros(self._lead.shape, bool)
        for name, pattern in patterns.items():
            reached = [*(node[tuple(pattern[:k])] for k in range(1, self.group_size)), node[name]]
            self._lead[: len(ends), kind[pattern[0]]] = reached[0]
            legal[[node[end] for end in ends if name in graph.get(end, ())], kind[pattern[0]]] = True
            for before, member, after in zip(reached, pattern[1:], reached[1:], strict=False):
                self._lead[before, kind[member]] = after
                legal[before, kind[member]] = True
        self._done = node["EOS"]
        self._lead[self._done] = self._done
        legal[self._done] = np.arange(len(kind)) == kind["EOS"]
        return legal

    def _masks(self, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What may come and what ends soonest, bool [2, nodes, V] each: before and after the first note."""
        ids = self.meanings
        allowed = np.stack([legal[:, ids.first]] * 2)
        allowed[0][:, self.vocabulary.id("EOS")] = False
        target = self._lead[:, ids.last]
        steps = np.full((2, len(legal)), np.inf)  # from each node to the end
        steps[1, self._done] = 0
        while True:
            cost = np.where(allowed, 1 + np.where(ids.noted, steps[1][target], steps[:, target]), np.inf)
            fewer = np.minimum(steps, cost.min(axis=-1))
            if (fewer == steps).all():
                return allowed, allowed & (cost == cost.min(axis=-1, keepdims=True))
            steps = fewer

    def start(self, batch: int) -> np.ndarray:
        state = np.zeros(batch, STATE)
        for name, value in DEFAULTS.items():
            state[name] = value
        return state

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        mean = Meanings(*(column[ids] for column in self.meanings))
        bars, seconds = self._spent(state, mean)
        state["bars"] += bars
        state["seconds"] += seconds
        state["node"] = self._lead[state["node"], mean.last]
        state["noted"] |= mean.noted
        state["barred"] |= mean.bars > 0
        for name in DEFAULTS:
            value = getattr(mean, name)
            state[name] = np.where(value > 0, value, state[name])

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        mean = Meanings(*(column[ids] for column in self.meanings))
        state = self.start(len(ids))
        state["node"] = self._nodes(mean.last)
        state["noted"] = latest(mean.noted) >= 0
        state["barred"] = latest(mean.bars > 0) >= 0
        for name, default in DEFAULTS.items():
            value = getattr(mean, name)
            state[name] = values_at(value, latest(value > 0), default)
        for name, spent in zip(("bars", "seconds"), self._spent(state, mean), strict=True):
            state[name][1:] = np.cumsum(spent)[:-1]
        return state

    def _nodes(self, kinds: np.ndarray) -> np.ndarray:
        """The node [N] before each id of a piece."""
        steps = kinds.reshape(-1, self.group_size)
        nodes = np.zeros(steps.shape, np.int16)
        reached = np.zeros(len(steps), np.int16)  # the end of a step leads on alike, whichever it was
        for member in range(self.group_size):
            nodes[:, member] = reached
            reached = self._lead[reached, steps[:, member]]
        nodes[0] = 0
        nodes[2:, 0] = reached[1:-1]
        return nodes.ravel()

    @staticmethod
    def _spent(state: np.ndarray, mean: Meanings) -> tuple[np.ndarray, np.ndarray]:
        """The bars and seconds that pass with ids; a new bar ends the one before it."""
        beats = mean.beats + np.where(state["barred"], mean.bars * state["numerator"], 0)
        return beats / state["numerator"], beats * 4 / state["denominator"] * 60 / state["qpm"]

    def allowed(self, state: np.ndarray) -> np.ndarray:
        return self._allowed[state["noted"].astype(np.int8), state["node"]]

    def closing(self, state: np.ndarray) -> np.ndarray:
        return self._closing[state["noted"].astype(np.int8), state["node"]]

    def features(self, state: np.ndarray) -> Context:
        return Context(state["node"][..., None].astype(np.int16), np.zeros((*state.shape, 0), bool))

    def finished(self, state: np.ndarray) -> np.ndarray:
        return state["node"] == self._done

    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return state["bars"].copy(), state["seconds"].copy()  # `advance` works in place
