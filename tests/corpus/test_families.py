"""Families: what stays the same in a copy is found, what is another tune is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmusic.corpus import families
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes, table

CHORDS = ((48, 52, 55), (53, 57, 60), (55, 59, 62), (45, 48, 52))


def tune(seed, length=96):
    """Onsets and pitches of a random melody: steps and leaps in quarters, eighths and 16ths of 480 ticks."""
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([120, 240, 240, 480], length))
    pitch = 72 + np.cumsum(rng.choice([-5, -4, -2, -1, 0, 1, 2, 3, 4], length)) % 12
    return onset - onset[0], pitch


def score(*parts, drum=False, program=0):
    """The Score of parts (onset, pitch), a track each; notes last until the next onset of their part."""
    rows = []
    for track, (onset, pitch) in enumerate(parts):
        following = np.searchsorted(np.unique(onset), onset, side="right")
        end = np.append(np.unique(onset), onset.max() + 480)[following]
        rows.append(table(NOTE_DTYPE, onset, end - onset, pitch, 80, track))
    return Score(sorted_notes(np.concatenate(rows)), tuple(Track(program, drum) for _ in parts))


def chords(seed, length=40):
    """Onsets and pitches of triads, one a half note."""
    rng = np.random.default_rng(seed)
    onset = np.repeat(np.arange(length) * 960, 3)
    return onset, np.concatenate([CHORDS[k] for k in rng.integers(0, 4, length)])


def ornamented(seed):
    """A tune of which one note in twenty is another."""
    onset, pitch = tune(seed)
    pitch[10::20] += 2
    return onset, pitch


def twice(seed):
    onset, pitch = tune(seed)
    return np.concatenate([onset, onset + onset[-1] + 480]), np.concatenate([pitch, pitch])


def octaves(seed):
    onset, pitch = tune(seed)
    return np.concatenate([onset, onset]), np.concatenate([pitch, pitch + 12])


ORIGINAL = score(tune(0), chords(0))
COPIES = {
    "transposed": score((tune(0)[0], tune(0)[1] - 7), (chords(0)[0], chords(0)[1] - 7)),
    "twice as long": score((tune(0)[0] * 2, tune(0)[1]), (chords(0)[0] * 2, chords(0)[1])),
    "by nine tenths": score((tune(0)[0] * 9 // 10, tune(0)[1]), (chords(0)[0] * 9 // 10, chords(0)[1])),
    "alone": score(tune(0)),
    "on another instrument": score(tune(0), chords(0), program=40),
    "over other chords": score(chords(1), tune(0)),
    "in octaves": score(octaves(0), chords(0)),
    "played twice": score(twice(0), chords(0)),
    "the first half": score(tuple(column[:56] for column in tune(0)), chords(0)),
    "ornamented": score(ornamented(0), chords(0)),
    "after silence": score((tune(0)[0] + 1920, tune(0)[1])),
}


def similarity(first, second):
    """As `group` finds it; 0 where the two are not one family."""
    found = families.group(np.stack([families.sketch(first), families.sketch(second)]))
    return float(found.similarity[1])


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_of_the_family(name):
    assert similarity(ORIGINAL, COPIES[name]) >= families.THRESHOLD


@pytest.mark.parametrize("name", ["transposed", "twice as long", "on another instrument"])
def test_what_is_the_same_to_the_last_shingle_has_the_same_sketch(name):
    assert np.array_equal(families.sketch(ORIGINAL), families.sketch(COPIES[name]))


def test_other_tunes_are_other_families_though_their_chords_are_the_same():
    sketches = np.stack([families.sketch(score(tune(seed), chords(0))) for seed in range(40)])
    found = families.group(sketches)
    assert found.family.tolist() == list(range(40))
    assert (found.relative == -1).all() and not found.similarity.any()


def test_shingles_by_hand():
    """Nine notes have seven steps and two shingles; a scale in even notes has shingles of one step alone: none."""
    onset, pitch = np.array([0, 4, 6, 8, 12, 14, 15, 16, 20]) * 120, np.array([60, 62, 65, 64, 62, 67, 60, 59, 64])
    (codes,) = families.shingles(score((onset, pitch)))
    assert len(codes) == 2
    (scale,) = families.shingles(score((np.arange(30) * 240, np.arange(40, 70))))
    assert len(scale) == 0


def test_lines_are_the_skyline_and_the_tops_of_tracks_without_chords():
    parts = families.lines(score(tune(0), chords(0), (tune(1)[0], tune(1)[1] - 24)))
    assert len(parts) == 3
    assert parts[1][1].tolist() == tune(0)[1].tolist()
    assert parts[2][1].tolist() == (tune(1)[1] - 24).tolist()


def test_a_held_note_hides_lower_ones_that_begin_under_it():
    rows = table(NOTE_DTYPE, [0, 240, 480, 960], [900, 200, 200, 200], [72, 60, 64, 62], 80, 0)
    ((onset, pitch),) = families.lines(Score(rows, (Track(),)))
    assert onset.tolist() == [0, 960] and pitch.tolist() == [72, 62]


def drums(seed):
    rng = np.random.default_rng(seed)
    return score((np.arange(32) * 240, rng.choice([36, 38, 42], 32)), drum=True)


def test_drums_and_few_notes_are_like_their_exact_copies_only():
    pieces = [
        drums(0),
        drums(1),
        drums(0),
        score(tune(0, 5)),
        score(tune(1, 5)),
        score((tune(0, 5)[0], tune(0, 5)[1] + 3)),
    ]
    found = families.group(np.stack([families.sketch(piece) for piece in pieces]))
    assert found.family.tolist() == [0, 1, 0, 3, 4, 3]
    assert found.similarity.tolist() == [0, 0, 1, 0, 0, 1]


def test_the_first_piece_names_the_family_and_relatives_come_before():
    pieces = [score(tune(5)), score(tune(0)), score(ornamented(0)), score(tune(6)), score(tune(0))]
    found = families.group(np.stack([families.sketch(piece) for piece in pieces]))
    assert found.family.tolist() == [0, 1, 1, 3, 1]
    assert found.relative.tolist() == [-1, -1, 1, -1, 1]
    assert found.similarity[4] == 1 and 0.3 <= found.similarity[2] < 1


def test_a_piece_that_holds_two_tunes_joins_them():
    """What is in the medley must not be on two sides of a split."""
    first, second = tune(0), tune(1)
    medley = np.concatenate([first[0], second[0] + first[0][-1] + 480]), np.concatenate([first[1], second[1]])
    found = families.group(np.stack([families.sketch(score(part)) for part in (first, medley, second)]))
    assert found.family.tolist() == [0, 0, 0]


def test_a_thousand_copies_are_one_family(tmp_path):
    sketches = np.stack([families.sketch(score(tune(seed))) for seed in range(4)])
    path = tmp_path / "sketches.npy"
    np.save(path, np.tile(sketches, (250, 1, 1)))
    found = families.group(np.load(path, mmap_mode="r"))
    assert found.family.tolist() == [0, 1, 2, 3] * 250
    assert (found.relative[4:] < np.arange(4, 1000)).all()
    assert (found.relative[4:] % 4 == np.arange(4, 1000) % 4).all()


def test_no_pieces_have_no_families():
    found = families.group(np.zeros((0, families.LINES, families.HASHES), np.uint32))
    assert [len(column) for column in found] == [0, 0, 0]


@given(st.integers(20, 200), st.integers(20, 200), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_similarity_estimates_the_share_of_common_shingles(size, other_size, share, seed):
    common = round(share * min(size, other_size))
    codes = np.random.default_rng(seed).integers(0, 2**48, size + other_size)
    sets = codes[:size], codes[size - common : size - common + other_size]
    estimates = [
        families.similarities(*(families._min_hashes(part + offset)[None] for part in sets))[0] for offset in range(40)
    ]
    assert abs(np.mean(estimates) - common / min(size, other_size)) < 0.15


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_linked_pieces_are_named_by_the_first_of_them(links):
    pairs = np.array(links, np.int64).reshape(-1, 2)
    family = families._united(np.arange(20), *pairs.T)
    expected = list(range(20))
    for _ in range(20):
        for a, b in links:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert family.tolist() == expected
