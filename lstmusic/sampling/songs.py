"""B songs in the making: where their grammar stands, what the stack carries, and how the next id of each is drawn."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lstmusic.errors import GenerationError
from lstmusic.events.given import Given
from lstmusic.events.grammar import Grammar
from lstmusic.events.kinds import OTHER, PITCH, TIME, VELOCITY, event_kinds
from lstmusic.models.language_model import ILLEGAL, State
from lstmusic.sampling import filters
from lstmusic.sampling.beyond import Beyond
from lstmusic.sampling.controls import BoundControls
from lstmusic.sampling.form import Form
from lstmusic.sampling.repetition import LoopWatch
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.stepper import FrameStepper, Stepper

# Songs side by side, always: products of other shapes round otherwise, and a song would depend on how many are written.
BLOCK = 16
MAX_BARS = 64  # where no length is asked for, a song that has not ended by itself is closed here
MAX_IDS_AT_REST = 640  # 128 notes of five ids: a song that goes on for longer without moving on in time is closed
IDLE = 0.5  # the number drawn for a row without a song


@dataclass
class Rules:
    """What is the same for all songs of a call.

    Attributes:
        stepper: a multiple of BLOCK rows, twice as many where conditions are asked for: the second half is not told them.
        given: what of a piece the songs are to come out with; then no length is asked for, and none is closed.
    """

    grammar: Grammar
    stepper: Stepper | FrameStepper
    controls: BoundControls
    settings: SamplingSettings
    length: Length
    repetition: Repetition
    given: Given | None = None
    kinds: list[tuple[Tensor, float]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        settings, of_id = self.settings, torch.from_numpy(event_kinds(self.grammar.vocabulary))
        factors = {
            OTHER: 1.0,
            PITCH: settings.pitch_temperature,
            TIME: settings.time_temperature,
            VELOCITY: settings.velocity_temperature,
        }
        if any(factor != 1 for factor in factors.values()):
            kinds = ((torch.nonzero(of_id == kind)[:, 0], factor) for kind, factor in factors.items())
            self.kinds = [(ids, factor) for ids, factor in kinds if len(ids)]

    @property
    def guided(self) -> bool:
        """Whether conditions are asked for."""
        return self.controls.columns is not None

    @property
    def rows(self) -> int:
        """How many songs are written side by side."""
        return self.stepper.rows // (2 if self.guided else 1)

    def context(self, state: np.ndarray) -> tuple[Tensor, Tensor]:
        """What the model reads at states [B, ...]: int64 columns, bool flags; 2 B rows where guided, the first B told."""
        columns, flags = map(torch.from_numpy, self.grammar.context(state))
        columns, asked = columns.long(), self.controls.columns
        if asked is not None:
            told = columns.clone()
            told[..., -len(asked) :] = torch.from_numpy(asked).long()
            columns, flags = torch.cat([told, columns]), torch.cat([flags, flags])
        return columns.to(self.stepper.device), flags.to(self.stepper.device)


class Songs:
    """As many songs as the rules have rows, which stand at some moment and go on from there.

    Args:
        generators: one per row; None: no song is wanted there.
        where: the grammar's state [B].
        previous: int64 [B, G], the group that the stack reads next.
        state: what the stepper carries into it, for all of its rows.

    Attributes:
        forced_nats: minus the log of each song's importance weight so far, float64 [B]. Without `Beyond` that is -log of
            the probability of all ids that the mask of a given piece left.
    """

    def __init__(
        self,
        rules: Rules,
        generators: Sequence[np.random.Generator | None],
        where: np.ndarray,
        previous: Tensor,
        state: State,
    ) -> None:
        self.rules, self.grammar, self.stepper = rules, rules.grammar, rules.stepper
        self.generators, self.where, self.previous, self.state = list(generators), where, previous, state
        self.start = self.now = np.stack(self.grammar.length(where))  # bars and seconds [2, B]
        self.rows = rules.rows
        self.ids_at_rest = np.zeros(self.rows, np.int64)
        self.stuck, self.forced_nats = np.zeros(self.rows, bool), np.zeros(self.rows)
        self.watch = LoopWatch(self.rows) if rules.repetition.break_loops else None
        self.form = Form(self.rows, rules.repetition.least, self.grammar.vocabulary) if rules.repetition.least else None
        self.groups: list[np.ndarray] = []
        self.nats: list[np.ndarray] = []
        self.overruled, self.overlong = np.zeros((2, self.rows), np.int64)

    def again(self, generators: Sequence[np.random.Generator | None]) -> Songs:
        """A block that goes on from where these songs began, with other generators."""
        return self._twin(np.arange(self.rows), generators, self.state)

    def forked(self, row: int, generators: Sequence[np.random.Generator | None]) -> Songs:
        """The song of a row, standing where it stands now, in every row of a new block."""
        return self._twin(np.full(self.rows, row), generators, self.stepper.state())

    def _twin(self, rows: np.ndarray, generators: Sequence[np.random.Generator | None], state: State) -> Songs:
        """Songs that have written nothing yet, each where one of these stands; `state` is the stepper's."""
        previous = self.previous[torch.from_numpy(rows)]
        twin = Songs(self.rules, generators, self.where[rows], previous, self._carried(rows, state))
        twin.start, twin.ids_at_rest, twin.stuck = self.start[:, rows], self.ids_at_rest[rows], self.stuck[rows]
        twin.watch, twin.form = copy.deepcopy(self.watch), copy.deepcopy(self.form)
        for listener in (twin.watch, twin.form):
            if listener is not None:
                listener.take(rows)
        return twin

    def _carried(self, rows: np.ndarray, state: State) -> State:
        """Of a state of the stepper that of these rows, in the half that is told of conditions and in the other."""
        halves = np.concatenate([rows + first for first in range(0, self.stepper.rows, self.rows)])
        return tuple(part[:, torch.from_numpy(halves)] for part in state)

    def take(self, rows: np.ndarray) -> None:
        """Row r goes on from where row rows[r] stands, by its own generator; what was written stays where it is."""
        self.stepper.load(self._carried(rows, self.stepper.state()))
        self.where, self.previous = self.where[rows], self.previous[torch.from_numpy(rows)]
        self.start, self.now = self.start[:, rows], self.now[:, rows]
        for values in self._counts:
            values[:] = values[rows]
        for listener in (self.watch, self.form):
            if listener is not None:
                listener.take(rows)

    def resume(self) -> None:
        """Let the stepper stand where these songs do."""
        self.stepper.load(self.state)

    @property
    def finished(self) -> np.ndarray:
        """bool [B]: the songs that have ended, and the rows without one."""
        return self.grammar.finished(self.where) | np.array([g is None for g in self.generators])

    def left(self) -> tuple[np.ndarray, np.ndarray]:
        """Bars and seconds, float64 [B] each, until the length that was asked for; inf where none was."""
        length = self.rules.length
        asked = (length.bars, length.seconds) if length.given else (MAX_BARS, None)
        limits = np.array([np.inf if limit is None else limit for limit in asked])
        bars, seconds = limits[:, None] - (self.now - self.start)
        return bars, seconds

    def write_group(self) -> None:
        """Draw one group for every song."""
        columns, flags = self.rules.context(self.where)
        doubled = self.stepper.rows // self.rows
        self.stepper.read(self.previous.repeat(doubled, 1), columns, flags)
        members = self.previous[:, :0]
        nats = []
        for member in range(self.grammar.group_size):
            if member:
                columns, flags = self.rules.context(self.where)
            logits = self.stepper.logits(members.repeat(doubled, 1), columns, flags)
            ids, surprise = self._draw(logits.double().cpu(), members.cpu().numpy())
            nats.append(surprise)
            self._advance(ids)
            members = torch.cat([members, torch.from_numpy(ids)[:, None].to(members.device)], dim=1)
        self.previous = members
        self.groups.append(members.cpu().numpy())
        self.nats.append(np.stack(nats, axis=1))
        self.hear(self.groups[-1], self.now[0])

    def write_group_of(self, some: np.ndarray) -> None:
        """Draw one group for some of the songs, bool [B]; the others stand still, and theirs in `groups` is void.

        Nothing may listen for repetition: it would hear what is void.
        """
        if some.all():
            self.write_group()
            return
        where, previous, carried = self.where.copy(), self.previous, self.stepper.state()
        bars_and_seconds, counts = self.now, [values.copy() for values in self._counts]
        self.write_group()
        self.where, self.now = np.where(some, self.where, where), np.where(some, self.now, bars_and_seconds)
        for values, before in zip(self._counts, counts, strict=True):
            np.copyto(values, before, where=~some)
        moved = torch.from_numpy(some).to(self.previous.device)
        self.previous = torch.where(moved[:, None], self.previous, previous)
        moved = moved.repeat(self.stepper.rows // self.rows)[:, None]
        new = self.stepper.state()
        self.stepper.load(tuple(torch.where(moved, *parts) for parts in zip(new, carried, strict=True)))

    @property
    def _counts(self) -> list[np.ndarray]:
        """What is counted for each row, [B] each."""
        return [self.ids_at_rest, self.stuck, self.forced_nats, self.overruled, self.overlong]

    def hear(self, groups: np.ndarray, bars: np.ndarray) -> None:
        """Let what listens for repetition hear one group per song, int64 [B, G], after which there are so many bars [B]."""
        if self.watch is not None:
            self.watch.hear(groups)
        if self.form is not None:
            self.form.hear(groups, bars)

    def _advance(self, ids: np.ndarray) -> None:
        """Let the grammar read one id per song; one that stands still for too long is stuck, as with one note for ever."""
        self.grammar.advance(self.where, ids)
        before, self.now = self.now, np.stack(self.grammar.length(self.where))
        self.ids_at_rest = np.where(self.now[0] > before[0], 0, self.ids_at_rest + 1)
        self.stuck |= (self.ids_at_rest >= MAX_IDS_AT_REST) & ~self.grammar.finished(self.where)

    def _draw(self, logits: Tensor, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One id per song, int64 [B], and its nats at temperature 1 under the grammar's mask, untold, float64 [B]."""
        rules, free = self.rules, logits[-self.rows :]
        wanted = free + rules.controls.guidance * (logits[: self.rows] - free) if rules.guided else free
        legal = self.grammar.allowed(self.where)
        fitting = self._mask(legal) if rules.given is None else rules.given.mask(self.where)
        adjusted, mask, overruled = rules.controls.adjust(wanted.numpy(), fitting, self.where)
        self.overruled += overruled if rules.given is None else overruled * (fitting.sum(axis=1) > 1)
        if self.form is not None:
            bonus = self.form.bonus(members)
            adjusted = adjusted if bonus is None else adjusted + bonus
        beyond = None
        if rules.given is not None:
            beyond = Beyond(legal & ~fitting, rules.given.latest(self.where, fitting))
            adjusted, mask = beyond.proposed(adjusted, mask)
        ids = self._drawn(torch.from_numpy(adjusted), torch.from_numpy(mask))
        of_legal = torch.log_softmax(free.masked_fill(~torch.from_numpy(legal), -torch.inf), dim=-1)
        weighed = of_legal - torch.from_numpy(rules.controls.parallels(self.where))  # of what is given, too
        kept = weighed.masked_fill(~torch.from_numpy(fitting), -torch.inf).logsumexp(dim=-1).numpy()
        if beyond is not None:
            kept = beyond.log_weight(weighed.numpy(), kept, ids.numpy())
        kept = np.where(kept < ILLEGAL / 4, 0.0, kept)  # a model of frames does not say when a piece ends
        self.forced_nats -= np.where(self.grammar.finished(self.where), 0.0, kept)
        return ids.numpy(), -of_legal.gather(1, ids[:, None])[:, 0].numpy()

    def _drawn(self, logits: Tensor, possible: Tensor) -> Tensor:
        """One id per song, int64 [B]."""
        if self.rules.settings.greedy:
            return logits.masked_fill(~possible, ILLEGAL).argmax(-1)
        p = self._probabilities(logits, possible)
        if not torch.isfinite(p).all():
            raise GenerationError("the model's logits are not finite, expected numbers: train it again")
        return filters.draw(p, self._uniform())

    def _probabilities(self, logits: Tensor, possible: Tensor) -> Tensor:
        settings = self.rules.settings
        heat = settings.temperature_at(self.now[0] - self.start[0]) * (
            1.0 if self.watch is None else self.watch.factor()
        )
        return filters.probabilities(
            logits,
            possible,
            temperature=torch.from_numpy(heat),
            kinds=self.rules.kinds,
            between=settings.time_temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
        )

    def _uniform(self) -> Tensor:
        drawn = [IDLE if generator is None else generator.random() for generator in self.generators]
        return torch.tensor(drawn, dtype=torch.float64)

    def _mask(self, legal: np.ndarray) -> np.ndarray:
        """The ids that may come, bool [B, V]: all that are legal, those that fit, or those that close the song."""
        left = self.left()
        at_end: np.ndarray = self.grammar.full(self.where, *left) | self.stuck
        mask = np.where(at_end[:, None], self.grammar.closing(self.where), legal) if at_end.any() else legal
        if not self.rules.length.given:
            return mask
        fitting = mask & (self.grammar.within(self.where, *left) | at_end[:, None])
        fits = fitting.any(axis=1)
        self.overlong += ~fits
        return np.where(fits[:, None], fitting, mask)
