"""Songs by n-grams: whole and legal in every encoding, drawn as the n-grams say, closed where they go on for too long."""

import numpy as np
import pytest
from scipy.stats import chi2

from lstmusic.evaluation.baselines import NGram
from lstmusic.evaluation.markov import MarkovModel, drawn
from lstmusic.events import codec as codecs
from lstmusic.sampling.songs import MAX_IDS_AT_REST


def generators(number, seed=0):
    return [np.random.default_rng((seed, k)) for k in range(number)]


def fitted(codec, phrase, pieces=4, bars=3):
    return MarkovModel(codec, [codec.encode(phrase(bars, seed)) for seed in range(pieces)])


def check_whole(codec, song):
    codec.grammar.check(song)
    assert song[: codec.group_size].tolist() == codec.grammar.bos().tolist()
    assert song[-1] == codec.vocabulary.id("EOS")
    assert (song[codec.group_size : -codec.group_size] != codec.vocabulary.id("EOS")).all()
    assert len(codec.decode(song).notes) > 0


def test_songs_are_whole_pieces(codec, phrase):
    songs = fitted(codec, phrase).write(generators(6), max_bars=8)
    assert len(songs) == 6
    for song in songs:
        check_whole(codec, song)


@pytest.mark.parametrize("name", ["frames", "REMI"])
def test_songs_of_frames_and_of_miditok_are_whole_pieces(name, phrase):
    if name == "REMI":
        pytest.importorskip("miditok")
    codec = codecs.build(name)
    for song in fitted(codec, phrase).write(generators(2), max_bars=2):
        check_whole(codec, song)


def test_the_same_generators_write_the_same_songs(codec, phrase):
    model = fitted(codec, phrase)
    songs = model.write(generators(4), max_bars=4)
    again = model.write(generators(2), max_bars=4)
    others = model.write(generators(4, seed=1), max_bars=4)
    assert [song.tolist() for song in again] == [song.tolist() for song in songs[:2]]
    assert [song.tolist() for song in others] != [song.tolist() for song in songs]


def test_songs_are_closed_where_they_grow_too_long(codec, phrase):
    """Pieces of eight bars make songs of about eight; at two the grammar ends them within the step at hand."""
    model = fitted(codec, phrase, bars=8)
    bars = [codec.grammar.length(codec.grammar.trajectory(song))[0][-1] for song in model.write(generators(8), 2)]
    longest = [codec.grammar.length(codec.grammar.trajectory(song))[0][-1] for song in model.write(generators(8), 64)]
    assert max(bars) < 3.5
    assert max(longest) > max(bars)


def test_a_song_that_stands_still_is_closed(score_of):
    """Three hundred equal notes at once: after each comes another, 299 times in 300, and time never moves on."""
    codec = codecs.build("metrical")
    crowd = codec.encode(score_of([(0, 480, 60, 80, 0)] * 300))
    songs = MarkovModel(codec, [crowd]).write(generators(12))
    assert max(map(len, songs)) < MAX_IDS_AT_REST + 100
    assert sum(len(song) > MAX_IDS_AT_REST for song in songs) >= 2
    for song in songs:
        check_whole(codec, song)


def test_ids_come_as_often_as_the_ngram_says(phrase):
    """Songs of one tune's encoding begin with METER and KEY: their frequencies beside probabilities counted apart."""
    codec, number = codecs.build("melody"), 2000
    pieces = [codec.encode(phrase(2, seed)).astype(np.int64) for seed in range(5)]
    for piece, (meter, key) in zip(pieces, [(0, 0), (1, 0), (1, 5), (2, 7), (1, 7)], strict=True):
        piece[2:4] = codec.vocabulary.id("METER", meter), codec.vocabulary.id("KEY", key)
    songs = MarkovModel(codec, pieces).write(generators(number), max_bars=0.1)
    contexts = np.concatenate([codec.contexts(piece)[2:] for piece in pieces])
    ngram = NGram(len(codec.vocabulary)).fit(contexts, np.concatenate([piece[2:] for piece in pieces]))
    for place, kind in ((2, "METER"), (3, "KEY")):
        ids = np.arange(codec.vocabulary.slice_of(kind).start, codec.vocabulary.slice_of(kind).stop)
        p = ngram.probability(np.repeat(codec.contexts(songs[0])[place : place + 1], len(ids), axis=0), ids)
        expected = number * p / p.sum()
        found = np.array([(np.array([song[place] for song in songs]) == value).sum() for value in ids])
        assert found.sum() == number
        often = expected >= 5
        pools = [np.r_[x[often], x[~often].sum()] for x in (found, expected)]
        distance = ((pools[0] - pools[1]) ** 2 / pools[1]).sum()
        assert distance < chi2.ppf(0.999, len(pools[0]) - 1)
        assert expected.max() > 2 * expected.min()  # what is told apart is not even


def test_drawing_takes_each_id_by_its_share_and_never_one_without():
    weights = np.array([0.0, 3.0, 0.0, 1.0, 4.0, 0.0])
    uniform = (np.arange(800) + 0.5) / 800
    ids = drawn(np.tile(weights, (800, 1)), uniform)
    assert np.bincount(ids, minlength=6).tolist() == [0, 300, 0, 100, 400, 0]
    edges = drawn(np.tile(weights, (4, 1)), np.array([0.0, 3 / 8, 4 / 8, np.nextafter(1, 0)]))
    assert edges.tolist() == [1, 3, 4, 4]
