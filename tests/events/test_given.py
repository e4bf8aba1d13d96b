"""What is given of a piece comes out of every song that is written under its mask."""

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events.given import check_gap, kept_voices

SONGS = 6


def outside(score, start, end):
    """The notes that sound at some time outside the gap."""
    notes = score.notes
    return notes[(notes["onset_tick"] < start) | (notes["onset_tick"] + notes["duration_tick"] > end)]


def walk(codec, rng, groups, draw):
    """A piece drawn evenly from the kinds of ids that may come, so that notes are held; closed after so many groups."""
    grammar = codec.grammar
    state, ids = grammar.start(1), grammar.bos().tolist()
    while not grammar.finished(state)[0]:
        mask = grammar.allowed(state) if len(ids) < groups * codec.group_size else grammar.closing(state)
        ids += draw(rng, codec.vocabulary, mask, True).tolist()
        grammar.advance(state, np.array(ids[-1:]))
    return np.array(ids)


def filled(codec, piece, rng, draw, *, by_kind):
    """Songs drawn evenly from what the mask leaves, each from its prefix to its EOS group."""
    size, grammar = codec.group_size, codec.grammar
    state = np.repeat(grammar.trajectory(piece.prefix)[-1:], SONGS)
    grammar.advance(state, np.repeat(piece.prefix[-1:], SONGS)) if len(piece.prefix) > size else None
    written, closed = [], ~piece.open(state)
    while not (done := grammar.finished(state)).all():
        mask, is_open = piece.mask(state), piece.open(state)
        assert not (mask & ~grammar.allowed(state)).any()
        assert not (closed & is_open).any(), "open again"
        assert (mask[~is_open].sum(axis=1) == 1).all(), "a choice where nothing is free"
        closed = ~is_open
        written.append(np.where(done, codec.vocabulary.id("EOS"), draw(rng, codec.vocabulary, mask, by_kind)))
        grammar.advance(state, written[-1])
    songs = np.stack(written, axis=1).reshape(SONGS, -1, size)
    ends = (songs[:, :, 0] == codec.vocabulary.id("EOS")).argmax(axis=1) + 1
    return [np.r_[piece.prefix, song[:end].reshape(-1)] for song, end in zip(songs, ends, strict=True)]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("encoding", [("chorale", {}), ("chorale", {"strikes": False}), ("frames", {})])
def test_what_sounds_outside_the_gap_stays_as_it_is(encoding, draw, seed):
    codec, rng = codecs.build(encoding[0], **encoding[1]), np.random.default_rng(seed)
    ids = walk(codec, rng, int(rng.integers(3, 8 if codec.name == "frames" else 40)), draw)
    score = codec.decode(ids)
    start, end = sorted(rng.integers(0, score.end_tick + 200, 2).tolist())
    piece = codec.given(ids, start, end + 1)
    assert ids[: len(piece.prefix)].tolist() == piece.prefix.tolist()
    for song in filled(codec, piece, rng, draw, by_kind=bool(seed % 2)):
        codec.grammar.check(song)
        result = codec.decode(song)
        assert outside(result, start, end + 1).tolist() == outside(score, start, end + 1).tolist()
        for name in ("meters", "tempi", "keys"):
            assert getattr(result, name).tolist() == getattr(score, name).tolist()
        assert len(song) == len(ids)


@pytest.mark.parametrize("gap", [(0, 0), (480, 480), (960, 480), (-1, 480)])
def test_a_gap_without_time_is_refused(gap):
    with pytest.raises(ConfigError, match=f"gap of ticks {gap[0]} to {gap[1]}: expected a start from 0"):
        check_gap(*gap)


def test_voices_are_kept_by_name_whatever_their_capitals():
    assert kept_voices(("tenor",), ("Soprano", "Tenor")).tolist() == [False, True]
    assert kept_voices((), ("Soprano", "Tenor")).tolist() == [False, False]
    assert kept_voices(()).tolist() == []


@pytest.mark.parametrize(
    ("keep", "voices", "message"),
    [
        (("Sopran",), ("Soprano", "Bass"), "keep=Sopran: there is no such voice, expected some of Soprano, Bass"),
        (
            ("Soprano",),
            (),
            "keep=Soprano: there is no such voice, expected none, as this encoding tells no voices apart",
        ),
        (("Bass", "soprano"), ("Soprano", "Bass"), "keep=Bass,soprano: expected a voice less"),
    ],
)
def test_voices_that_are_not_there_are_refused(keep, voices, message):
    with pytest.raises(ConfigError, match=message):
        kept_voices(keep, voices)


def test_an_encoding_whose_pieces_cannot_be_rewritten_says_so():
    pytest.importorskip("miditok")
    remi = codecs.build("REMI")
    with pytest.raises(ConfigError, match="encoding=REMI: its pieces cannot be rewritten, expected one of chorale"):
        remi.given(np.zeros(1), 0, 480)
