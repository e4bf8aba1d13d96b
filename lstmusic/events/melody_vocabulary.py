"""The ids of the `melody` encoding: its kinds, their ranges, what METER stands for, and what a group is."""

from __future__ import annotations

import numpy as np

from lstmusic.events.chorale_grammar import UNKNOWN_KEY
from lstmusic.events.vocabulary import Vocabulary

GROUP_SIZE = 2
STEPS_PER_QUARTER = 12  # 16ths, and triplets of 8ths and 16ths
NUM_PITCHES = 128
MAX_DURATION = 16 * STEPS_PER_QUARTER
LOWEST_QPM, HIGHEST_QPM = 20, 320
METERS = (
    *((4, 4), (3, 4), (2, 4), (1, 4), (5, 4), (6, 4), (7, 4)),
    *((2, 2), (3, 2), (4, 2), (5, 2), (6, 2), (2, 1), (3, 1), (4, 1)),
    *((2, 8), (3, 8), (4, 8), (5, 8), (6, 8), (7, 8), (9, 8), (12, 8)),
)
BAR_STEPS = np.array([n * 4 * STEPS_PER_QUARTER // d for n, d in METERS])
# Eighths that come in threes make a beat of three.
BEAT_STEPS = np.array([(3 if d == 8 and n % 3 == 0 else 1) * 4 * STEPS_PER_QUARTER // d for n, d in METERS])

HEADER, NOTE, HOLD, REST, CHANGE, END = range(6)  # what a group is

VOCABULARY = Vocabulary(
    [
        ("BOS", 0, 0),
        ("EOS", 0, 0),
        ("HOLD", 0, 0),
        ("REST", 0, 0),
        ("PITCH", 0, NUM_PITCHES - 1),
        ("DURATION", 1, MAX_DURATION),
        ("METER", 0, len(METERS) - 1),
        ("KEY", 0, UNKNOWN_KEY),
        ("TEMPO", LOWEST_QPM, HIGHEST_QPM),
        ("POSITION", 0, int(BAR_STEPS.max()) - 1),
    ]
)
EOS, HOLD_ID, REST_ID = (VOCABULARY.id(kind) for kind in ("EOS", "HOLD", "REST"))
PITCHES, DURATIONS, METER_IDS, KEYS, TEMPI, POSITIONS = (
    VOCABULARY.slice_of(kind) for kind in ("PITCH", "DURATION", "METER", "KEY", "TEMPO", "POSITION")
)
MUSIC_KINDS = {NOTE: "PITCH", HOLD: "HOLD", REST: "REST", CHANGE: "METER", END: "EOS"}


def kinds_of(ids: np.ndarray) -> np.ndarray:
    """What a group of music is, by its first id; HEADER for an id that begins none."""
    kinds = np.full(np.shape(ids), HEADER)
    for kind, name in MUSIC_KINDS.items():
        kinds[VOCABULARY.is_kind(name, ids)] = kind
    return kinds
