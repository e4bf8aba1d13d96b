"""The ids of the `metrical` encoding: its kinds, their ranges, and what METER and DURATION stand for."""

from __future__ import annotations

import numpy as np

from lstmusic.events.vocabulary import Vocabulary

STEPS_PER_QUARTER = 12  # holds 16ths (3) and triplets (4 and 2)
STEPS_PER_16TH = 3
MAX_BAR = 96
GROUP_SIZE = 5
NUM_PITCHES = 128
DRUM_KIT = 128  # the PROGRAM of channel 10
LOWEST_QPM, HIGHEST_QPM = 16, 320
VELOCITY_BINS = 32
NUM_KEYS = 24  # KEY 0 is unknown, 1-12 are major, 13-24 minor, counted from C

METERS = tuple((n, d) for d in (1, 2, 4, 8, 16) for n in range(1, MAX_BAR * d // (4 * STEPS_PER_QUARTER) + 1))
BAR_STEPS = np.array([n * 4 * STEPS_PER_QUARTER // d for n, d in METERS])
# Every step up to two quarters, then every 16th, 8th, quarter and half, each for as long as it takes to double
DURATION_STEPS = np.r_[1:25, 27:49:3, 54:97:6, 108:193:12, 216:385:24]

VOCABULARY = Vocabulary(
    [
        ("BOS", 0, 0),
        ("EOS", 0, 0),
        ("PAD", 0, 0),
        ("BAR", 0, 0),
        ("METER", 0, len(METERS) - 1),
        ("KEY", 0, NUM_KEYS),
        ("POSITION", 0, MAX_BAR - 1),
        ("TEMPO", LOWEST_QPM, HIGHEST_QPM),
        ("PROGRAM", 0, DRUM_KIT),
        ("PITCH", 0, NUM_PITCHES - 1),
        ("DRUM", 0, NUM_PITCHES - 1),
        ("DURATION", 0, len(DURATION_STEPS) - 1),
        ("VELOCITY", 1, VELOCITY_BINS),
    ]
)
# The kinds by number; each of the first four has but one id, and the number is that too.
BOS, EOS, PAD, BAR, METER, KEY, POSITION, TEMPO, PROGRAM, PITCH, DRUM, DURATION, VELOCITY = range(13)
_sizes = [high - low + 1 for _, low, high in VOCABULARY.ranges]
KIND = np.repeat(np.arange(len(_sizes)), _sizes)  # of each id: the index of its range above
VALUE = np.concatenate([np.arange(low, high + 1) for _, low, high in VOCABULARY.ranges])
FIRST = np.cumsum([0, *_sizes[:-1]])  # of each kind: the id of its lowest value
IDS = [VOCABULARY.slice_of(kind) for kind, _, _ in VOCABULARY.ranges]
