"""What n-grams look at: the keys of each encoding against references over whole pieces, and id by id as in writing."""

import tracemalloc

import numpy as np
import pytest

from lstmusic.events import codec as codecs
from lstmusic.events.codec import histories


def last_ids(codec, ids, *, place=None, size=1, longest=4):
    """Keys of a place and the last ids, as numbers in the base of the vocabulary."""
    ids = [int(value) for value in ids]
    num_ids, rows = len(codec.vocabulary), []
    for k in range(len(ids)):
        key = 0 if place is None else int(place[k])
        row = [key]
        for back in range(1, longest + 1):
            if size * num_ids ** (back + 1) < 2**63:
                key = key * num_ids + (ids[k - back] if k >= back else 0)
                row.append(key)
        rows.append(row)
    return rows


def voice_keys(codec, ids):
    """A chorale's: the voice, what it sounds, the place in the quarter, for how many steps; walked through by group."""
    rows, sounding, since = [], [0] * 4, [-1] * 4
    groups = ids.reshape(-1, 4)
    position = int(codec.vocabulary.values("POSITION", groups[1, 1]))
    for number, group in enumerate(groups):
        step = number - 2
        place = 0 if step < 0 else (position + step) % 4
        for voice, value in enumerate(group):
            if number == 1 and voice > 1:
                place = position % 4
            age = 1 if step < 0 else min(step - since[voice], 31)
            row = [voice]
            for part, size in ((sounding[voice], 128), (place, 4), (age, 32)):
                row.append(row[-1] * size + part)
            rows.append(row)
            kind, pitch = codec.vocabulary.event(int(value))
            if kind in ("PITCH", "REST"):
                sounding[voice], since[voice] = (pitch if kind == "PITCH" else 0), step
    return rows


def frame_keys(codec, ids):
    """The key and whether it was down in the frame before: KEY 1 is id 1, FIRST 1 is id 3."""
    frames = ids.reshape(-1, 88).tolist()
    before = [frames[0], *frames]
    return [[key, 2 * key + (before[k][key] in (1, 3))] for k in range(len(frames)) for key in range(88)]


def note_keys(codec, ids):
    """Of metrical: what comes next; the id before; the last pitch; the position; the last duration."""
    state, rows = codec.grammar.trajectory(ids), []
    durations = codec.vocabulary.range_of("DURATION").high + 1
    for k, row in enumerate(state):
        keys = [int(row["slot"]) * 2 + int(row["tied"])]
        keys.append(keys[-1] * len(codec.vocabulary) + (int(ids[k - 1]) if k else 0))
        for name, size in (("pitch", 128), ("position", 96), ("duration", durations)):
            keys.append(keys[-1] * (size + 1) + int(row[name]) + 1)
        rows.append(keys)
    return rows


def tune_keys(codec, ids):
    """Of a tune: what the model itself reads of the slot, the place in the beat and the last notes, in mixed base."""
    sizes = codec.grammar.feature_sizes
    rows = []
    for columns in codec.grammar.features(codec.grammar.trajectory(ids)).columns.tolist():
        read = dict(zip(sizes, columns, strict=True))
        keys = [read["slot"]]
        for name in ("place_in_beat", "duration", "pitch", "interval"):
            keys.append(keys[-1] * sizes[name] + read[name])
        rows.append(keys)
    return rows


REFERENCES = {
    "chorale": voice_keys,
    "frames": frame_keys,
    "melody": tune_keys,
    "metrical": note_keys,
    "performance": last_ids,
}


def test_contexts_are_those_of_a_reference(codec, phrase):
    for seed in range(2):
        ids = codec.encode(phrase(3, seed)).astype(np.int64)
        first = codec.group_size  # a BOS group is never drawn
        assert codec.contexts(ids)[first:].tolist() == REFERENCES[codec.name](codec, ids)[first:]


@pytest.mark.parametrize("name", ["REMI", "CPWord"])
def test_contexts_of_miditok_are_the_node_and_the_last_ids(name, phrase):
    pytest.importorskip("miditok")
    codec = codecs.build(name)
    ids = codec.encode(phrase(2)).astype(np.int64)
    node = codec.grammar.trajectory(ids)["node"]
    expected = last_ids(codec, ids, place=node, size=codec.grammar.feature_sizes["node"])
    assert codec.contexts(ids).tolist() == expected


def test_contexts_are_the_same_id_by_id(codec, random_walk):
    """What a writer sees, its state moved on by one id after the other, is what counting saw in the whole piece."""
    group = codec.group_size
    ids = random_walk(codec.grammar, np.random.default_rng(0), 4 if codec.name == "frames" else 40)
    expected = codec.contexts(ids)
    state = codec.grammar.start(1)
    padded = np.r_[np.zeros(codec.context_ids, np.int64), ids]
    for k in range(group, len(ids)):
        found = codec.context_keys(state, padded[None, k : k + codec.context_ids])
        assert found.dtype == np.int64
        assert found[0].tolist() == expected[k].tolist()
        codec.grammar.advance(state, ids[k : k + 1])


def test_histories_by_hand_leave_out_what_does_not_fit():
    """In base 10 after 3: the last id 7, the last two 7 and 5; in base 2**21 only one id and the next fit 64 bits."""
    before = np.array([[5, 7]])
    assert histories(np.array([3]), 4, before, 10).tolist() == [[3, 37, 375]]
    assert histories(np.array([3]), 4, before, 2**21).shape == (1, 2)


def test_looking_far_back_copies_no_ids():
    """88 ids before each of 88,000 would be 62 MB."""
    frames = codecs.build("frames")
    ids = np.zeros((1000, 88), np.int64)
    ids[0], ids[1], ids[-1] = 4, 2, 5
    tracemalloc.start()
    contexts = frames.contexts(ids.ravel())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert contexts.shape == (88_000, 2)
    assert peak < 20e6
