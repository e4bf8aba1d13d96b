"""What a musician asks of a song: a key, a range, how many notes at a time, and what the music is to be like.

A control takes ids out of the grammar's mask or nats off logits, so that a song stays legal. Where one would leave nothing,
the grammar has its way and the case is counted. Density and pitch classes are asked of a model that learned to follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events import conditions
from lstmusic.events.grammar import Grammar
from lstmusic.events.kinds import NO_PITCH, struck_pitches
from lstmusic.events.vocabulary import Vocabulary
from lstmusic.sampling.scales import key_of

ALL_VOICES = "all"
HIGHEST_PITCH = 127
Limit = Callable[[np.ndarray], np.ndarray]
"""From the grammar's state [B], the ids that a control leaves: bool [V] or [B, V]."""


@dataclass(frozen=True)
class Controls:
    """What is asked of every song; all off by default.

    Attributes:
        key: "C", "a", "F# minor", "D dorian" ..., or pitch classes "0,2,4,7,9"; see `scales`.
        key_weight: nats taken off notes outside the key; None: there are none outside it.
        ranges: the lowest and highest MIDI pitch by voice; "all" is for the voices that are not named.
        polyphony: at most so many notes sound at a time.
        parallels: nats taken off each note by which a voice moves in parallel fifths, octaves or unisons with a voice that
            has had its turn in the step; None: as the model likes.
        density: notes per bar asked for, all voices together.
        pitch_classes: 12 weights from C: how often each is asked for.
        guidance: how strongly density and pitch classes pull: logits = free + guidance (asked - free).

    Raises:
        ConfigError: a value that no encoding could follow.
    """

    key: str | None = None
    key_weight: float | None = None
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    polyphony: int | None = None
    parallels: float | None = None
    density: float | None = None
    pitch_classes: tuple[float, ...] | None = None
    guidance: float = 2.0

    def __post_init__(self) -> None:
        if self.key is not None:
            key_of(self.key)
        elif self.key_weight is not None:
            raise ConfigError(f"control.key_weight={self.key_weight}: expected control.key with it")
        if self.key_weight is not None and not 0 <= self.key_weight < np.inf:
            raise ConfigError(f"control.key_weight={self.key_weight}: expected nats from 0")
        for voice, bounds in self.ranges.items():
            if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= HIGHEST_PITCH:
                raise ConfigError(
                    f"control.range.{voice}={list(bounds)}: expected the lowest and the highest of MIDI's pitches 0 to 127"
                )
        if self.polyphony is not None and self.polyphony < 1:
            raise ConfigError(f"control.polyphony={self.polyphony}: expected 1 or more notes at a time")
        if self.parallels is not None and not 0 <= self.parallels < np.inf:
            raise ConfigError(f"control.parallels={self.parallels}: expected nats from 0")
        if self.density is not None and not 0 < self.density < np.inf:
            raise ConfigError(f"control.density={self.density}: expected notes per bar, above 0")
        if self.pitch_classes is not None:
            _check_weights(self.pitch_classes)
        if not 0 <= self.guidance < np.inf:
            raise ConfigError(f"control.guidance={self.guidance}: expected 0 or more")


def _check_weights(pitch_classes: Sequence[float]) -> None:
    """Raise ConfigError where these are not weights of the 12 pitch classes."""
    weights = np.asarray(pitch_classes, np.float64)
    if weights.shape != (conditions.NUM_PITCH_CLASSES,):
        raise ConfigError(f"control.pitch_classes={list(pitch_classes)}: expected 12 weights, from C")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ConfigError(f"control.pitch_classes={list(pitch_classes)}: expected weights from 0, one of them above it")


class BoundControls:
    """Controls bound to a grammar.

    Attributes:
        columns: int16 [13], what a model with conditions is told; None: nothing is asked of it.
        guidance: see `Controls`.

    Raises:
        ConfigError: the encoding has no ids that strike pitches, or no such voice; no pitch is left; no conditions.
    """

    def __init__(self, controls: Controls, grammar: Grammar) -> None:
        self.columns, self.guidance = _asked(controls, grammar), controls.guidance
        self._penalty: np.ndarray | None = None  # nats [V]
        self._limits: list[Limit] = []
        self._announced = _announced_strikes(grammar.vocabulary)
        self._grammar, self._parallels = grammar, controls.parallels
        if controls.parallels is not None and len(grammar.voices) == 1:
            raise ConfigError(
                f"control.parallels={controls.parallels:g}: this encoding has no voices, expected one that has, as chorale"
            )
        if controls.key is None and not controls.ranges and controls.polyphony is None:
            return
        pitches = struck_pitches(grammar.vocabulary)
        if (pitches == NO_PITCH).all():
            raise ConfigError("control.key, control.range, control.polyphony: no id of this encoding strikes a pitch")
        in_key = np.ones(len(pitches), bool)
        if controls.key is not None:
            key = key_of(controls.key)
            in_key = key.holds(pitches) | (pitches == NO_PITCH)
            if (number := key.number) is not None:  # so that the model itself thinks in this key
                self._limits.append(lambda where: grammar.key_ids(where, number))
        if controls.key_weight is not None:
            self._penalty, in_key = np.where(in_key, 0.0, controls.key_weight), np.ones(len(pitches), bool)
        if not in_key.all():
            self._limits.append(lambda where: in_key)
        if controls.ranges:
            in_range = _in_range(controls.ranges, grammar.voices, pitches, in_key)
            self._limits.append(lambda where: in_range[grammar.voice(where)])
        if controls.polyphony is not None:
            most = controls.polyphony
            self._limits.append(lambda where: grammar.crowd(where) <= most)

    def adjust(
        self, logits: np.ndarray, mask: np.ndarray, where: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the controls leave of the logits, float64 [B, V], and of the ids that may come, bool [B, V].

        And how many of them gave way to the grammar in each row, int64 [B].

        A row in which a control would leave no id keeps those that it had before this control.

        Args:
            where: the grammar's state [B].
        """
        if self._penalty is not None:
            logits = logits - self._penalty
        if self._parallels is not None:
            logits = logits - self.parallels(where)
        overruled = np.zeros(len(mask), np.int64)
        for limit in self._limits:
            mask, left = self._narrowed(mask, limit(where))
            overruled += ~left
        return logits, mask, overruled

    def parallels(self, where: np.ndarray) -> np.ndarray:
        """The nats that are taken off each id for parallels, float64 [B, V]; a single 0, [1, 1], without this control.

        Args:
            where: the grammar's state [B].
        """
        return np.zeros((1, 1)) if self._parallels is None else self._parallels * self._grammar.parallels(where)

    def _narrowed(self, mask: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ids of bool [B, V] that are wanted, too, or all where none is; and the rows [B] where some is."""
        narrow = mask & wanted
        if self._announced is not None:
            velocities, strikes = self._announced
            in_vain = mask[:, strikes].any(axis=1) & ~narrow[:, strikes].any(axis=1)
            narrow[in_vain, velocities] = False
        left = narrow.any(axis=1)
        return (narrow if left.all() else np.where(left[:, None], narrow, mask)), left


def _asked(controls: Controls, grammar: Grammar) -> np.ndarray | None:
    """The columns that ask a model for music, int16 [13]; None where nothing is asked."""
    names = [name for name in ("density", "pitch_classes") if getattr(controls, name) is not None]
    if not names:
        return None
    if not grammar.conditions:
        raise ConfigError(
            f"control.{names[0]}: the model was trained without conditions, "
            "expected a model trained with encoding.conditions=true"
        )
    return conditions.asked(controls.density, controls.pitch_classes)


def _announced_strikes(vocabulary: Vocabulary) -> tuple[slice, slice] | None:
    """Where a VELOCITY comes before its NOTE_ON, the ids of both: it must not come where none can follow."""
    if not any(r.kind == "NOTE_ON" for r in vocabulary.ranges):
        return None
    return vocabulary.slice_of("VELOCITY"), vocabulary.slice_of("NOTE_ON")


def _in_range(
    ranges: Mapping[str, tuple[int, int]], voices: Sequence[str], pitches: np.ndarray, in_key: np.ndarray
) -> np.ndarray:
    """The ids that each voice may write, bool [voices, V].

    Args:
        pitches: int16 [V], what each id strikes.
        in_key: bool [V], what the key leaves.
    """
    bounds = {voice.lower(): bounds for voice, bounds in ranges.items()}
    known = {voice.lower() for voice in (*voices, ALL_VOICES)}
    for voice in ranges:
        if voice.lower() not in known:
            expected = ", ".join(dict.fromkeys((*voices, ALL_VOICES)))
            raise ConfigError(f"control.range.{voice}: this encoding has no such voice, expected one of {expected}")
    strikes = pitches != NO_PITCH
    rows = []
    for voice in voices:
        low, high = bounds.get(voice.lower(), bounds.get(ALL_VOICES, (0, HIGHEST_PITCH)))
        inside = (pitches >= low) & (pitches <= high)
        if not (inside & in_key & strikes).any():
            struck = pitches[strikes & in_key]
            raise ConfigError(
                f"control.range.{voice}=[{low}, {high}]: no pitch lies in it, expected some of "
                f"{struck.min()} to {struck.max()}{'' if in_key.all() else ' in the key'}"
            )
        rows.append(inside | ~strikes)
    return np.stack(rows)
