"""Form: bars that follow an earlier one, and the share of bars that do."""

import copy

import numpy as np
import pytest

from lstmusic.events import codec as codecs
from lstmusic.events.vocabulary import Vocabulary
from lstmusic.sampling.form import BONUS_NATS, FAILED_NATS, Form

TONES = 12
VOCABULARY = Vocabulary([("PITCH", 0, TONES - 1), ("REST", 0, 0), ("METER", 0, 0)])
REST, METER = TONES, TONES + 1
NOTHING = np.zeros((1, 0), np.int64)


def lent(form, member=0, row=0):
    """The id that gets a bonus, and how many nats; None: there is none."""
    bonus = form.bonus(np.zeros((len(form._songs), member), np.int64))
    if bonus is None:
        return None
    ids = np.flatnonzero(bonus[row])
    assert len(ids) <= 1
    return (int(ids[0]), float(bonus[row, ids[0]])) if len(ids) else None


def play(form, groups, lengths=None, start=0.0):
    """Let a song of one row hear groups, each a quarter of a bar long unless said otherwise; where it stands then."""
    bars = start
    for group, length in zip(groups, lengths or [0.25] * len(groups), strict=True):
        bars += length
        form.hear(np.array([group]).reshape(1, -1), np.array([bars]))
    return bars


def test_the_third_bar_is_lent_the_first_ones_ids_one_after_another():
    form = Form(1, 1.0, VOCABULARY)
    bars = 0.0
    for group in (0, 1, 2, 3, 4, 5, 6, 7):
        assert lent(form) is None
        bars = play(form, [group], start=bars)
    for group in (0, 1, 2, 3):
        assert lent(form) == (group, BONUS_NATS)
        bars = play(form, [group], start=bars)
    assert lent(form) == (4, BONUS_NATS)  # and the fourth bar that of the second


def test_the_fifth_bar_follows_the_first_a_phrase_before():
    form = Form(1, 1.0, VOCABULARY)
    play(form, [*range(8), 8, 9, 10, 11, 11, 10, 9, 8])
    assert lent(form) == (0, BONUS_NATS + 2 * FAILED_NATS)  # two bars went other ways than their models


def test_each_member_of_a_group_is_lent_its_own_id():
    form = Form(1, 1.0, VOCABULARY)
    play(form, [(k, 11 - k) for k in range(8)])
    assert (lent(form, member=0), lent(form, member=1)) == ((0, BONUS_NATS), (11, BONUS_NATS))


def test_on_the_same_grid_a_bar_that_departs_still_has_its_model():
    form = Form(1, 1.0, VOCABULARY)
    bars = play(form, range(8))
    play(form, [9], start=bars)
    assert lent(form) == (1, BONUS_NATS)


def test_off_the_grid_the_model_waits_until_both_agree():
    form = Form(1, 1.0, VOCABULARY)
    bars = play(form, range(8))
    bars = play(form, [0], [0.125], start=bars)
    assert lent(form) is None
    bars = play(form, [0], [0.375], start=bars)
    assert lent(form) == (2, BONUS_NATS)


def test_groups_that_begin_together_are_lent_one_after_another():
    form = Form(1, 1.0, VOCABULARY)
    bars = play(form, [0, 1, 2] * 2, [0.0, 0.5, 0.5] * 2)
    bars = play(form, [0], [0.0], start=bars)
    assert lent(form) == (1, BONUS_NATS)
    play(form, [1], [0.5], start=bars)
    assert lent(form) == (2, BONUS_NATS)


def test_a_header_is_no_part_of_the_first_bar():
    form = Form(1, 1.0, VOCABULARY)
    play(form, [METER, *range(8)], [0.0] + [0.25] * 8)
    assert lent(form) == (0, BONUS_NATS)
    form = Form(1, 1.0, VOCABULARY)
    play(form, [REST, *range(1, 8)])  # a rest takes time
    assert lent(form) == (REST, BONUS_NATS)


def test_a_note_over_several_bars_leaves_them_empty():
    form = Form(1, 1.0, VOCABULARY)
    bars = play(form, [0, 1, 2, 3, 4], [0.25] * 3 + [2.5, 0.75])
    assert bars == 4.0
    assert lent(form) == (0, BONUS_NATS)
    play(form, [0, 1, 2, 3, 4], [0.25] * 3 + [2.5, 0.75], start=bars)
    assert (form._songs[0].finished, form._songs[0].repeated) == (8, 2)


def test_a_song_that_was_begun_elsewhere_has_no_bars_before():
    form = Form(1, 1.0, VOCABULARY)
    play(form, [0, 1, 2, 3], start=8.0)
    assert form._songs[0].finished == 1


def test_where_enough_repeats_nothing_is_lent():
    form = Form(1, 1 / 3, VOCABULARY)
    bars = play(form, [0, 1, 2, 3] * 2)
    assert lent(form) is None  # whatever comes, one bar of three will have repeated another
    play(form, [4, 5, 6, 7], start=bars)
    assert lent(form) is not None


def test_bars_that_share_four_groups_of_five_are_the_same():
    for bar, repeated in (([0, 1, 2, 3, 11], 1), ([0, 1, 2, 11, 11], 0)):
        form = Form(1, 1.0, VOCABULARY)
        play(form, [0, 1, 2, 3, 4, *bar], [0.2] * 10)
        assert form._songs[0].repeated == repeated


def test_bars_that_share_only_their_rests_are_not_the_same():
    form = Form(1, 1.0, VOCABULARY)
    play(form, [REST, REST, REST, REST, 0, REST, REST, REST, REST, 1], [0.2] * 10)
    assert form._songs[0].repeated == 0
    play(form, [REST] * 10, [0.2] * 10, start=2.0)
    assert form._songs[0].repeated == 0


@pytest.mark.parametrize("least", [0.25, 0.5, 0.75])
def test_songs_drawn_evenly_reach_their_share(least):
    rng, songs, bars = np.random.default_rng(0), 4, np.zeros(4)
    form, plain = Form(songs, least, VOCABULARY), Form(songs, 0.0, VOCABULARY)
    for _ in range(4 * 80):
        bonus = form.bonus(np.zeros((songs, 0), np.int64))
        weights = np.exp(np.zeros((songs, TONES)) if bonus is None else bonus[:, :TONES])
        ids = (np.cumsum(weights, axis=1) < rng.random((songs, 1)) * weights.sum(axis=1, keepdims=True)).sum(axis=1)
        bars += 0.25
        form.hear(ids[:, None], bars)
        plain.hear(rng.integers(0, TONES, (songs, 1)), bars)
    shares = [song.repeated / song.finished for song in form._songs]
    assert all(least - 0.08 < share < least + 0.04 for share in shares)
    assert max(song.repeated / song.finished for song in plain._songs) < 0.05


def test_songs_fork():
    form = Form(2, 1.0, VOCABULARY)
    for k in range(8):
        form.hear(np.array([[k], [11 - k]]), np.full(2, (k + 1) / 4))
    twin = copy.deepcopy(form)
    twin.take(np.array([1, 1]))
    assert [lent(twin, row=row) for row in (0, 1)] == [(11, BONUS_NATS)] * 2
    twin.hear(np.array([[3], [11]]), np.full(2, 2.25))
    twin.hear(np.array([[3], [11]]), np.array([2.5, 2.3]))
    assert [lent(twin, row=row) for row in (0, 1)] == [(9, BONUS_NATS), None]
    assert [lent(form, row=row) for row in (0, 1)] == [(0, BONUS_NATS), (11, BONUS_NATS)]


def test_songs_that_forked_within_a_bar_have_bars_of_their_own():
    form = Form(2, 1.0, VOCABULARY)
    for k, (one, other) in enumerate([(0, 0), (1, 1), (2, 2), (3, 3), (0, 9), (1, 7), (2, 5), (3, 6)]):
        if k == 5:
            form.take(np.array([0, 0]))
        form.hear(np.array([[one], [other]]), np.full(2, (k + 1) / 4))
    assert [song.repeated for song in form._songs] == [1, 0]


def repeated_bars(ids, grammar):
    """The share of a song's bars that repeat an earlier one, as `Form` counts them; 0 without a whole bar."""
    form = Form(1, 0.5, grammar.vocabulary)
    groups = np.asarray(ids, np.int64).reshape(-1, grammar.group_size)
    bars = grammar.length(grammar.trajectory(groups.ravel())[:: grammar.group_size])[0]
    for group, after in zip(groups[1:-1], bars[2:], strict=True):
        form.hear(group[None], np.array([after]))
    (song,) = form._songs
    return song.repeated / max(song.finished, 1)


@pytest.mark.parametrize("encoding", ["chorale", "melody", "metrical", "performance"])
def test_bars_that_come_back_are_found_in_every_encoding(encoding, score_of):
    codec = codecs.build(encoding)
    bar = [(0, 72), (480, 74), (960, 76), (1440, 77)]
    other = [(0, 60), (960, 62), (1440, 59)]
    shares = {}
    for name, order in {"ABAC": (bar, other, bar), "ABC": (bar, other, [(0, 67), (480, 69), (1440, 65)])}.items():
        rows = [(1920 * k + at, 480, pitch, 80, 0) for k, notes in enumerate((*order, other)) for at, pitch in notes]
        shares[name] = repeated_bars(codec.encode(score_of(rows)), codec.grammar)
    assert shares["ABAC"] > shares["ABC"]


def test_the_share_of_a_chorale_whose_second_half_is_its_first(score_of):
    chorale = codecs.build("chorale")
    tune = np.random.default_rng(1).integers(60, 80, 16)
    rows = [(480 * k, 480, int(pitch), 80, 0) for k, pitch in enumerate([*tune, *tune])]
    assert repeated_bars(chorale.encode(score_of(rows)), chorale.grammar) == 0.5
    assert repeated_bars(chorale.encode(score_of(rows[:16])), chorale.grammar) == 0.0
    assert repeated_bars(chorale.grammar.bos(), chorale.grammar) == 0.0
