"""What of a piano roll is given, key by key."""

import numpy as np

from lstmusic.events import codec as codecs
from lstmusic.events.frames_grammar import EOS, NUM_KEYS, VOCABULARY

FRAME = 240  # ticks, at two frames a quarter
FIRST, KEY = VOCABULARY.id("FIRST"), VOCABULARY.id("KEY")
# One line a key, a character a frame; all other keys are up. The gap is the middle four.
ROLL = [
    "##..#.##",  # the second note, alone in the gap, goes; the others stay as long as they are: so much beside them is up
    "###...##",
    ".###.##.",
    "........",
    "########",
]
FREE = [
    "...xx...",  # frame 2 is beside a note that ends before it, frame 5 beside one that begins after it
    "....x...",
    "........",
    "..xxxx..",
    "........",
]


def roll_ids():
    """The ids of `ROLL`."""
    groups = np.zeros((len(ROLL[0]) + 2, NUM_KEYS), np.int64)
    groups[1:-1, : len(ROLL)] = np.array([[mark == "#" for mark in line] for line in ROLL]).T
    groups[1:-1] += KEY
    groups[1] += FIRST - KEY
    groups[0], groups[-1] = VOCABULARY.id("BOS"), EOS
    return groups.reshape(-1)


def test_runs_of_frames_are_given_to_their_ends_and_the_frames_beside_them_are_up():
    codec = codecs.build("frames")
    ids = roll_ids()
    given = codec.given(ids, 2 * FRAME, 6 * FRAME)
    states = codec.grammar.trajectory(ids)[3 * NUM_KEYS :]
    masks = given.mask(states)
    assert given.prefix.tolist() == ids[: 3 * NUM_KEYS].tolist()
    for key, line in enumerate(FREE):
        left = masks[key::NUM_KEYS].sum(axis=1)
        assert left.tolist() == [*(2 if mark == "x" else 1 for mark in line[2:]), 1]
    alone = masks.sum(axis=1) == 1
    assert (masks.argmax(axis=1) == ids[3 * NUM_KEYS :])[alone].all()
    assert given.open(states).nonzero()[0].max() == 4 * NUM_KEYS - 1  # the gap's last cell: a key that is up throughout


def test_the_last_key_is_down_where_there_is_no_other_note():
    codec = codecs.build("frames")
    ids = np.full((4, NUM_KEYS), KEY)
    ids[0], ids[1], ids[3] = VOCABULARY.id("BOS"), FIRST, EOS
    ids[2, 40] += 1
    given = codec.given(ids.reshape(-1), 0, 2 * FRAME)
    silent = ids.copy()
    silent[2, 40] -= 1
    states = codec.grammar.trajectory(silent.reshape(-1))[NUM_KEYS:-NUM_KEYS]
    masks = given.mask(states)
    assert (masks[:-1].sum(axis=1) == 2).all()
    assert np.flatnonzero(masks[-1]).tolist() == [KEY + 1]
