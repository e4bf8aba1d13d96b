"""Nats upon notes and bars: every nat is in its place, and none is lost."""

import numpy as np
import pytest

from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.evaluation.surprise import id_ticks, surprise
from lstmusic.events import codec as codecs


@pytest.fixture
def ids_of(phrase):
    return lambda codec, bars=3: codec.encode(phrase(bars)).astype(np.int64)


def test_each_note_has_the_nats_of_its_id_and_bars_sum_to_the_whole(codec, ids_of, tiny_model):
    ids, group = ids_of(codec), codec.group_size
    nats = piece_nats(tiny_model(codec), codec, ids)
    score = codec.decode(ids)
    found = surprise(codec, ids, nats, score)
    assert found.note_nats.tolist() == nats[codec.note_ids(ids) - group].tolist()
    assert len(found.bar_nats) == len(score.bar_ticks()) - 1
    assert found.bar_nats.sum() == pytest.approx(nats[codec.scored(ids)[group:]].sum())


def test_a_nat_lies_in_its_own_bar(ids_of):
    """One nat on the first voice of each step: a bar of 16 steps has sixteen."""
    codec = codecs.build("chorale")
    ids = ids_of(codec)
    nats = np.zeros(len(ids) - 4)
    nats[4::4] = 1  # after the header: the soprano of every step, and of the ending, which does not count
    found = surprise(codec, ids, nats, codec.decode(ids))
    assert found.bar_nats.tolist() == [16, 16, 16]
    assert id_ticks(codec, ids, codec.decode(ids))[8::4].tolist() == list(range(0, 16 * 3 * 120 + 1, 120))


def test_what_was_given_has_no_surprise(ids_of):
    codec = codecs.build("chorale")
    ids = ids_of(codec)
    score, given = codec.decode(ids), 8 + 16 * 4  # BOS, header and the first bar
    nats = np.ones(len(ids) - given)
    whole = surprise(codec, ids, nats, score)
    assert np.isnan(whole.note_nats[score.notes["onset_tick"] < 1920]).all()
    assert (whole.note_nats[score.notes["onset_tick"] >= 1920] == 1).all()
    assert np.isnan(whole.bar_nats[0]) and whole.bar_nats[1:].tolist() == [64, 64]
    rest = surprise(codec, ids, nats, score, start_tick=1920)
    assert len(rest.note_nats) == len(score.after(1920).notes)
    assert rest.bar_nats.tolist() == [64, 64]


def test_keys_that_stay_down_have_bars_alone(phrase):
    codec = codecs.build("frames")
    ids = codec.encode(phrase(2)).astype(np.int64)
    found = surprise(codec, ids, np.ones(len(ids) - codec.group_size), codec.decode(ids))
    assert found.note_nats is None
    assert found.bar_nats.sum() == codec.scored(ids).sum()
