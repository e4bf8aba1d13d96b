"""The state machine of the `chorale` encoding: four voices, one step per 16th note, four ids per step.

A piece is a BOS group, a header group (METER, POSITION of the first step in its bar, TEMPO, KEY), music groups (one id per
voice, soprano first) and an EOS group. A voice's id is HOLD (it goes on as it was, sounding or silent), REST (it falls
silent) or PITCH (it strikes). Every music has exactly one spelling, so that its likelihood is that of the music.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events.grammar import Context, Grammar, whole_steps
from lstmusic.events.vocabulary import Vocabulary

VOICES = ("Soprano", "Alto", "Tenor", "Bass")
GROUP_SIZE = len(VOICES)
STEPS_PER_QUARTER = 4
LOWEST_PITCH, HIGHEST_PITCH = 24, 96
METERS = (
    *((4, 4), (3, 4), (2, 4), (2, 2), (3, 2), (4, 2), (5, 4), (6, 4), (7, 4)),
    *((3, 8), (6, 8), (7, 8), (9, 8), (12, 8)),
)
BAR_STEPS = np.array([n * 4 * STEPS_PER_QUARTER // d for n, d in METERS])
NUM_TEMPI = 64
TEMPI_QPM = 24.0 * 10.0 ** (np.arange(NUM_TEMPI) / (NUM_TEMPI - 1))  # 24 to 240 qpm, each 3.7 % above the one before
UNKNOWN_KEY = 24  # keys 0-11 are major, 12-23 minor, counted from C
MAX_AGE = 31
PARALLEL = (0, 7)  # semitones, octaves aside: octaves and unisons, fifths

HEADER, MUSIC, ENDING, DONE = range(4)
STATE = np.dtype(
    [
        ("phase", "i1"),
        ("member", "i1"),
        ("step", "<i4"),  # music steps completed
        ("meter", "i1"),  # -1 until its header id has come; likewise the three below
        ("position", "i1"),
        ("tempo", "i1"),
        ("key", "i1"),
        ("pitch", "<i2", (GROUP_SIZE,)),  # 0: silent
        ("before", "<i2", (GROUP_SIZE,)),  # the pitches when the step began
        ("age", "<i2", (GROUP_SIZE,)),  # steps since the voice last changed, at most MAX_AGE
        ("struck", "?"),  # some voice has sounded
    ]
)
HEADER_KINDS = ("METER", "POSITION", "TEMPO", "KEY")
HEADER_FIELDS = ("meter", "position", "tempo", "key")

VOCABULARY = Vocabulary(
    [
        ("BOS", 0, 0),
        ("EOS", 0, 0),
        ("HOLD", 0, 0),
        ("REST", 0, 0),
        ("PITCH", LOWEST_PITCH, HIGHEST_PITCH),
        ("METER", 0, len(METERS) - 1),
        ("POSITION", 0, int(BAR_STEPS.max()) - 1),
        ("TEMPO", 0, NUM_TEMPI - 1),
        ("KEY", 0, UNKNOWN_KEY),
    ]
)
EOS, HOLD, REST = (VOCABULARY.id(kind) for kind in ("EOS", "HOLD", "REST"))
PITCHES = VOCABULARY.slice_of("PITCH")


def voice_values(ids: np.ndarray) -> np.ndarray:
    """What each id does to its voice, int64: the pitch that it strikes, 0 for REST, -1 where the voice goes on."""
    pitch = VOCABULARY.values("PITCH", ids)
    return np.where(VOCABULARY.is_kind("PITCH", ids), pitch, np.where(np.asarray(ids) == REST, 0, -1))


def last_changes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward-fill `voice_values` [T, G] along time.

    Returns:
        The pitch of each voice after each step [T, G], and the step at which it last changed [T, G] (-1: never).
    """
    changed = np.where(values >= 0, np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(changed, axis=0) if len(values) else changed
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), axis=0), 0), last


class ChoraleGrammar(Grammar):
    """See the module. `strikes=False` is the canonical data set's form: a pitch that stays is held, never struck again."""

    vocabulary = VOCABULARY
    group_size = GROUP_SIZE
    num_flags = 0
    voices = VOICES

    def __init__(self, strikes: bool = True) -> None:
        self.strikes = strikes
        pitches = HIGHEST_PITCH - LOWEST_PITCH + 2
        self.feature_sizes = {
            "slot": 2 * GROUP_SIZE + 1,
            "position": int(BAR_STEPS.max()),
            "meter": len(METERS) + 1,
            "key": UNKNOWN_KEY + 2,
            **{f"pitch_{v}": pitches for v in VOICES},
            **{f"age_{v}": MAX_AGE + 1 for v in VOICES},
        }

    def start(self, batch: int) -> np.ndarray:
        state = np.zeros(batch, STATE)
        for name in HEADER_FIELDS:
            state[name] = -1
        state["age"] = 1
        return state

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        ids = np.asarray(ids, np.int64)
        rows, member, phase = np.arange(len(state)), state["member"].copy(), state["phase"].copy()
        for k, (kind, name) in enumerate(zip(HEADER_KINDS, HEADER_FIELDS, strict=True)):
            here = (phase == HEADER) & (member == k)
            state[name][here] = VOCABULARY.values(kind, ids[here])
        music = (phase == MUSIC) & (ids != EOS)
        value = voice_values(ids)
        changes = music & (value >= 0)
        state["pitch"][rows[changes], member[changes]] = value[changes]
        state["age"][rows[changes], member[changes]] = 0
        state["struck"] |= changes & (value > 0)
        state["phase"][(phase == MUSIC) & (ids == EOS)] = ENDING
        last = member == GROUP_SIZE - 1
        state["phase"][last & (phase == HEADER)] = MUSIC
        state["phase"][last & (phase == ENDING)] = DONE
        state["step"] += last & music
        state["before"] = np.where((last & music)[:, None], state["pitch"], state["before"])
        state["age"] = np.minimum(state["age"] + (last & music)[:, None], MAX_AGE)
        state["member"] = (member + 1) % GROUP_SIZE

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        groups = np.asarray(ids, np.int64).reshape(-1, GROUP_SIZE)
        state = self.start(groups.size).reshape(groups.shape)
        state["member"] = np.arange(GROUP_SIZE)
        state["member"][0] = 0  # the BOS group's rows hold the start state
        if len(groups) > 1:
            self._fill_header(state[1:], groups[1])
        if len(groups) > 2:
            self._fill_music(state[2:], groups[2:])
        return state.reshape(-1)

    @staticmethod
    def _fill_header(state: np.ndarray, header: np.ndarray) -> None:
        for k, (kind, name) in enumerate(zip(HEADER_KINDS, HEADER_FIELDS, strict=True)):
            value = VOCABULARY.values(kind, header[k])
            state[name][0, k + 1 :] = np.clip(value, -1, 127)
            state[name][1:] = np.clip(value, -1, 127)

    @staticmethod
    def _fill_music(state: np.ndarray, groups: np.ndarray) -> None:
        steps, voice = np.arange(len(groups)), np.arange(GROUP_SIZE)
        values = voice_values(groups)
        pitch_after, last_after = last_changes(values)
        pitch_before = np.vstack([np.zeros((1, GROUP_SIZE), np.int64), pitch_after[:-1]])
        last_before = np.vstack([np.full((1, GROUP_SIZE), -1), last_after[:-1]])
        decided = voice[None, :] < voice[:, None]  # [member, voice]: this voice's id of the step is known
        state["pitch"] = np.where(decided, pitch_after[:, None], pitch_before[:, None])
        state["before"] = pitch_before[:, None]
        last = np.where(decided, last_after[:, None], last_before[:, None])
        state["age"] = np.minimum(steps[:, None, None] - last, MAX_AGE)
        struck = np.cumsum((values > 0).reshape(-1)) > 0
        state["struck"] = np.r_[False, struck[:-1]].reshape(groups.shape)
        ended = np.cumsum((groups == EOS).reshape(-1)) > 0
        ended = np.r_[False, ended[:-1]].reshape(groups.shape)
        state["step"] = steps[:, None]
        state["phase"] = np.where(ended, ENDING, MUSIC)
        over = np.flatnonzero(ended[:, 0])
        if len(over):
            state["phase"][over[0] :] = DONE

    def allowed(self, state: np.ndarray) -> np.ndarray:
        mask = np.zeros((*state.shape, len(VOCABULARY)), bool)
        phase, member = state["phase"], state["member"]
        music, header = phase == MUSIC, phase == HEADER
        for k, kind in enumerate(HEADER_KINDS):
            mask[..., VOCABULARY.slice_of(kind)] |= (header & (member == k))[..., None]
        first = VOCABULARY.slice_of("POSITION").start
        mask[..., first : first + int(BAR_STEPS.max())] &= (
            np.arange(BAR_STEPS.max()) < self._bar_steps(state)[..., None]
        )
        current = np.take_along_axis(state["pitch"], member[..., None].astype(np.int64), axis=-1)[..., 0]
        mask[..., HOLD] = music
        mask[..., REST] = music & (current > 0)
        mask[..., PITCHES] = music[..., None]
        if not self.strikes:
            pitches = np.arange(LOWEST_PITCH, HIGHEST_PITCH + 1)
            mask[..., PITCHES] &= pitches != current[..., None]
        mask[..., EOS] = (music & (member == 0) & state["struck"]) | (phase == ENDING) | (phase == DONE)
        return mask

    def closing(self, state: np.ndarray) -> np.ndarray:
        mask = self.allowed(state)
        in_music, struck = state["phase"] == MUSIC, state["struck"]
        hold, end, strike = (np.zeros(len(VOCABULARY), bool) for _ in range(3))
        hold[HOLD] = end[EOS] = strike[PITCHES] = True
        mask[in_music & ~struck] = strike  # a piece without a note cannot end
        mask[in_music & struck & (state["member"] == 0)] = end
        mask[in_music & struck & (state["member"] > 0)] = hold
        return mask

    def voice(self, state: np.ndarray) -> np.ndarray:
        return state["member"].astype(np.int64)

    def key_ids(self, state: np.ndarray, number: int) -> np.ndarray:
        return np.broadcast_to(VOCABULARY.without_others("KEY", number), (*state.shape, len(VOCABULARY)))

    def crowd(self, state: np.ndarray) -> np.ndarray:
        crowd = np.zeros((*state.shape, len(VOCABULARY)), np.int16)
        crowd[..., PITCHES] = 1 + (self._others(state) > 0).sum(axis=-1)[..., None]
        return crowd

    def parallels(self, state: np.ndarray) -> np.ndarray:
        member, before = state["member"][..., None].astype(np.int64), state["before"].astype(np.int64)
        moves = state["pitch"] - before  # of each voice, in semitones [..., voices]
        moved = (np.arange(GROUP_SIZE) < member) & (before > 0) & (state["pitch"] > 0) & (moves % 12 != 0)
        own = np.take_along_axis(before, member, axis=-1)
        moved &= own > 0
        mask = super().parallels(state)
        if not moved.any():
            return mask
        pitches = np.arange(LOWEST_PITCH, HIGHEST_PITCH + 1)[:, None]
        own_moves = pitches - own[..., None]  # to each pitch [..., pitches, 1]
        together = moved[..., None, :] & (own_moves % 12 != 0) & (np.sign(own_moves) == np.sign(moves)[..., None, :])
        interval = np.abs(before - own)[..., None, :] % 12
        alike = np.isin(interval, PARALLEL) & (np.abs(state["pitch"][..., None, :] - pitches) % 12 == interval)
        mask[..., PITCHES] = (together & alike).any(axis=-1)
        return mask

    def within(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        left = self.steps_left(state, bars, seconds)
        mask = np.ones((*state.shape, len(VOCABULARY)), bool)
        mask[..., EOS] = np.isinf(left)
        # The last step sounds, so that the notes are as long as the steps: its last voice must where no other does.
        alone = (left == 1) & (state["member"] == GROUP_SIZE - 1) & ~self._others(state).any(axis=-1)
        mask[..., REST] = ~alone
        mask[..., HOLD] = ~alone | (state["pitch"][..., -1] > 0)
        return mask

    def steps_left(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        return whole_steps(np.minimum(bars * self._bar_steps(state), seconds / self._seconds_per_step(state)))

    @staticmethod
    def _others(state: np.ndarray) -> np.ndarray:
        """The pitches [..., voices] of the voices whose turn it is not; 0 for the one whose turn it is."""
        return np.where(np.arange(GROUP_SIZE) == state["member"][..., None], 0, state["pitch"])

    def features(self, state: np.ndarray) -> Context:
        phase, member = state["phase"], state["member"]
        slot = np.where(phase == HEADER, member, np.where(phase == MUSIC, GROUP_SIZE + member, 2 * GROUP_SIZE))
        position = np.where(phase == MUSIC, (state["position"] + state["step"]) % self._bar_steps(state), 0)
        pitch = np.where(state["pitch"] > 0, state["pitch"] - LOWEST_PITCH + 1, 0)
        columns = [slot, position, state["meter"] + 1, state["key"] + 1]
        columns += [pitch[..., v] for v in range(GROUP_SIZE)] + [state["age"][..., v] for v in range(GROUP_SIZE)]
        return Context(np.stack(columns, axis=-1).astype(np.int16), np.zeros((*state.shape, 0), bool))

    def finished(self, state: np.ndarray) -> np.ndarray:
        return state["phase"] == DONE

    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return state["step"] / self._bar_steps(state), state["step"] * self._seconds_per_step(state)

    @staticmethod
    def _seconds_per_step(state: np.ndarray) -> np.ndarray:
        return 60.0 / STEPS_PER_QUARTER / TEMPI_QPM[np.maximum(state["tempo"], 0)]

    @staticmethod
    def _bar_steps(state: np.ndarray) -> np.ndarray:
        return BAR_STEPS[np.clip(state["meter"], 0, len(METERS) - 1)]
