"""Frames of 88 keys: literal ones, silence around, and the data sets that they are made for."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lstmusic.corpus import datasets
from lstmusic.corpus.pieces import PieceRef
from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events import frames_grammar as g
from lstmusic.events.frames import frames_score
from lstmusic.score import Score, midi
from lstmusic.score.score import END_TEXT


@pytest.fixture
def frames():
    """The codec at two frames a quarter."""
    return codecs.build("frames", frames_per_quarter=2)


def down_keys(frames, ids):
    """The pitches that are down in each frame."""
    return [(np.flatnonzero(row) + 21).tolist() for row in frames.frames(ids)]


def test_a_key_is_down_from_its_onset_to_its_end(frames, score_of):
    score = score_of([(0, 480, 60, 80, 0), (240, 480, 64, 80, 0), (960, 240, 60, 80, 0)])
    ids = frames.encode(score)
    assert down_keys(frames, ids) == [[60], [60, 64], [64], [], [60]]
    groups = ids.reshape(-1, 88)
    assert len(groups) == 7
    assert (groups[0] == g.BOS).all()
    assert (groups[-1] == g.EOS).all()
    first, key = g.VOCABULARY.slice_of("FIRST"), g.VOCABULARY.slice_of("KEY")
    assert set(groups[1].tolist()) == set(range(first.start, first.stop))
    assert set(groups[2:-1].ravel().tolist()) == set(range(key.start, key.stop))
    assert frames.scored(ids).sum() == 4 * 88
    assert not frames.scored(ids)[: 2 * 88].any()


def test_times_go_to_the_nearest_frame_and_no_note_is_lost(frames, score_of):
    rows = [(119, 10, 60, 80, 0), (120, 10, 62, 80, 0), (300, 500, 64, 80, 0)]
    assert down_keys(frames, frames.encode(score_of(rows))) == [[60], [62, 64], [64]]


def test_what_frames_cannot_tell_is_counted(frames, score_of):
    losses = Counter()
    rows = [(0, 240, 60, 80, 0), (240, 240, 60, 80, 0), (0, 240, 60, 80, 1), (0, 240, 20, 80, 0)]
    ids = frames.encode(score_of(rows), losses)
    assert down_keys(frames, ids) == [[60], [60]]
    assert +losses == {
        "notes joined with one of their pitch": 2,
        "notes out of range left out": 1,
        "tempi left out": 1,
        "meters left out": 1,
    }


@settings(max_examples=60, deadline=None)
@given(
    frames=arrays(bool, st.tuples(st.integers(1, 12), st.just(88)), elements=st.booleans()),
    silence=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    frames_per_quarter=st.sampled_from([1, 2, 4, 12]),
)
def test_frames_come_back_with_the_silence_around_them(tmp_path_factory, frames, silence, frames_per_quarter):
    frames[0, 40] = True
    frames = np.pad(frames, (silence, (0, 0)))
    codec = codecs.build("frames", frames_per_quarter=frames_per_quarter)
    score = frames_score(frames, frames_per_quarter)
    ids = codec.encode(score)
    assert np.array_equal(codec.frames(ids), frames)
    codec.grammar.check(ids)
    file = tmp_path_factory.mktemp("frames") / "song.mid"
    midi.write(codec.decode(ids), file)
    assert np.array_equal(codec.frames(codec.encode(Score.read(file))), frames)


def test_only_a_piece_that_ends_in_silence_says_where_it_ends(frames):
    rows = np.zeros((4, 88), bool)
    rows[1, 0] = True
    assert frames_score(rows, 2).texts == ((960, END_TEXT),)
    assert frames_score(rows[:2], 2).texts == ()


def test_transposing_moves_every_key(frames, score_of):
    ids = frames.encode(score_of([(0, 480, 21, 80, 0), (240, 240, 100, 80, 0)]))
    assert frames.transpositions(ids) == (0, 8)
    assert down_keys(frames, frames.augment(ids, 8)) == [[29], [29, 108]]


def test_the_contexts_are_the_key_and_what_it_was(frames, score_of):
    ids = frames.encode(score_of([(0, 480, 60, 80, 0)]))
    key, before = frames.contexts(ids).reshape(-1, 88, 2)[1:].transpose(2, 0, 1)  # without the BOS group
    assert (key == np.arange(88)).all()
    assert (before // 2 == key).all()
    assert np.argwhere(before % 2).tolist() == [[1, 39], [2, 39]]  # middle C is the 40th key


@pytest.mark.parametrize("wrong", [0, 5, 480])
def test_frames_must_fit_the_ticks_of_a_quarter(wrong):
    with pytest.raises(ConfigError, match=f"encoding.frames_per_quarter={wrong}: expected one of 1, 2, 3, 4, 6, 8, 12"):
        codecs.build("frames", frames_per_quarter=wrong)


@pytest.mark.parametrize("subset", datasets.FRAMES_PER_QUARTER)
def test_the_frames_of_polymusic_are_those_of_its_files(data_dir, subset):
    from scipy.io import loadmat

    path = data_dir / "polymusic" / f"{subset}.mat"
    codec = codecs.build("frames", frames_per_quarter=datasets.FRAMES_PER_QUARTER[subset])
    cells = loadmat(str(path))
    for split in ("train", "valid", "test"):
        for number, expected in enumerate(cells[f"{split}data"].reshape(-1)):
            score = datasets.read_polymusic(PieceRef("", "polymusic", str(path), split, number))
            assert np.array_equal(codec.frames(codec.encode(score)), expected), (split, number)
