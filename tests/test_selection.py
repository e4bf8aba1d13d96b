"""What songs share with training pieces, and which of many are kept, in figures and in words."""

import json

import numpy as np
import pytest

from lstmusic import selection
from lstmusic.errors import ConfigError
from lstmusic.evaluation import statistics
from lstmusic.evaluation.originality import Index, Run
from lstmusic.evaluation.reference import Reference
from lstmusic.writing import WITHOUT_NEW_NOTES, Song

RUN = Run(notes=8, bars=2.0, piece="a", piece_bar=1, bar=1, track="Alto", semitones=0)


@pytest.fixture
def line(score_of):
    """A function: a score of one voice in quarters, four to a bar, of these pitches."""

    def build(pitches):
        return score_of([(480 * k, 480, pitch, 80, 0) for k, pitch in enumerate(pitches)])

    return build


TUNE = [60, 62, 65, 64, 69, 67, 72, 70, 64, 66, 61, 63]
ZIGZAG = [60, 67, 62, 69, 64, 71, 65, 72, 67, 74, 69, 76]
LEAPS = [60, 72, 61, 73, 59, 74, 58, 75, 60, 70, 62, 73]


@pytest.fixture
def index(line):
    return Index.build([("tune", line(TUNE))])


def song(score, number=1, nats=1.0, new=None) -> Song:
    report = {"number": number, "nats_per_token": nats, "new_notes": len(score.notes)}
    return Song(score, np.zeros(4, int), True, report, new=new)


@pytest.fixture
def reference(line):
    """Four held-out pieces: half of them share two bars with a training piece, the others nothing."""
    scores = [line([pitch + k for pitch in ZIGZAG]) for k in range(4)]
    nats = np.array([0.5, 1.0, 1.0, 1.5])  # mean 1, standard deviation 0.41
    return Reference(
        tuple("abcd"),
        nats,
        np.array([2.0, 3.0, 3.0, 4.0]),
        tuple(statistics.STATISTICS),
        statistics.table(scores),
        (RUN, RUN, None, None),
    )


def test_what_a_song_shares_is_told_beside_held_out_pieces(line, index, reference):
    songs = [song(line([pitch + 5 for pitch in TUNE])), song(line(LEAPS))]
    selection.tell_originality(songs, index, reference)
    told = songs[0].report["originality"]
    assert (told["piece"], told["notes"], told["bars"], told["semitones"]) == ("tune", 12, 3, 5)
    assert told["beyond"] == 0
    assert songs[1].report["originality"] is None
    json.dumps(told)
    assert selection.share_words(told) == "shares 3 bars with tune bar 1 (0% of held-out pieces share as much)"
    assert selection.share_words({**told, "beyond": None}) == "shares 3 bars with tune bar 1"
    assert selection.share_words(None) == "shares nothing with a training piece"


def test_only_what_is_new_counts(line, index, reference):
    whole = song(line(TUNE), new=np.arange(12) >= 8)  # a primer of two bars that is in the training
    selection.tell_originality([whole], index, reference)
    assert whole.report["originality"] is None
    assert selection.new_music(whole).notes["onset_tick"][0] == 8 * 480


def test_a_song_that_shares_too_much_is_refused(line, index, reference):
    like, empty, other = song(line(TUNE)), song(line(LEAPS)), song(line(LEAPS))
    empty.report["new_notes"] = 0
    assert selection.judge(index, reference, 2.5)([like, empty, other]) == [
        (
            "share more bars than originality.max_bars=2.5 with a training piece (3 with tune)",
            "a larger originality.max_bars",
        ),
        WITHOUT_NEW_NOTES,
        None,
    ]
    for most in (3, None):
        assert selection.judge(index, reference, most)([like, empty]) == [None, WITHOUT_NEW_NOTES]
    assert like.report["originality"]["bars"] == 3


def test_without_an_index_nothing_is_told(line):
    some = song(line(TUNE))
    assert selection.judge(None, None, None)([some]) == [None]
    assert "originality" not in some.report


def test_songs_are_looked_up_together(line, index, reference, monkeypatch):
    """Each call reads the whole index: for eight songs it takes hardly longer than for one."""
    asked, longest = [], index.longest
    monkeypatch.setattr(index, "longest", lambda scores: asked.append(len(scores)) or longest(scores))
    selection.judge(index, reference, 2)([song(line(TUNE)), song(line(LEAPS)), song(line(ZIGZAG))])
    assert asked == [3]


@pytest.mark.parametrize(("songs", "keep"), [(2, 0), (0, 1), (2, 3), (0, 0)])
def test_as_many_are_kept_as_there_are_or_fewer(steered_model, line, songs, keep):
    with pytest.raises(ConfigError, match=rf"^choose: keep={keep} of {songs} songs, expected 1 to as many"):
        steered_model.choose([song(line(LEAPS))] * songs, keep)


@pytest.fixture
def candidates(line, index, reference):
    """Four songs: 1 and 2 as usual, 3 with surprising notes, 4 a training piece."""
    songs = [
        song(line([pitch + 1 for pitch in ZIGZAG]), 1, 0.9),
        song(line([pitch + 2 for pitch in ZIGZAG[::-1]]), 2, 1.2),
        song(line([pitch + 2 for pitch in ZIGZAG]), 3, 9.0),
        song(line([pitch + 3 for pitch in TUNE + TUNE[::-1]]), 4, 1.0),
    ]
    index = Index.build([("tunes", line(TUNE + TUNE[::-1]))])
    selection.tell_originality(songs, index, reference)
    return songs, index


def test_the_best_of_many_and_why(candidates, reference):
    songs, index = candidates
    kept, left_out = selection.best(songs, 2, index, reference)
    assert {one.report["number"] for one in kept} == {1, 2}
    rows = [one.report["chosen"] for one in kept] + left_out
    assert [row["place"] for row in rows] == [1, 2, 3, 4]
    assert all(row["of"] == 4 for row in rows)
    for row in rows:
        parts = [row[name] for name in ("nats", "length", "statistics", "originality", "likeness")]
        assert row["cost"] == pytest.approx(sum(parts), abs=1e-3)
    assert rows[0]["why"].startswith("kept 1st of 4: nats as usual (0.")
    assert rows[0]["why"].endswith("shares nothing, unlike the others kept")
    reasons = {row["number"]: row["why"] for row in left_out}
    assert "nats 19.6 sd above held-out music" in reasons[3]  # (9 - 1) / 0.408
    assert "shares 6 bars with tunes, as hardly a held-out piece does" in reasons[4]
    json.dumps(rows)


def test_two_that_are_alike_are_not_kept_together(line, reference):
    """All have the same statistics; two are the same tune of six bars, where real pieces share two at most."""
    tune = TUNE + [pitch + 1 for pitch in TUNE]
    songs = [song(line(each), number) for number, each in enumerate((tune, tune, LEAPS + TUNE[:4]), 1)]
    for one in songs:
        one.report["originality"] = None
    kept, (left_out,) = selection.best(songs, 2, Index.build([("leaps", line(LEAPS[:4]))]), reference)
    numbers = [one.report["number"] for one in kept]
    assert sorted(numbers) in ([1, 3], [2, 3])
    (twin,) = {1, 2} & set(numbers)
    assert left_out["why"] == f"3rd of 3: 6 bars in common with number {twin}, which is kept"


def test_one_kept_song_has_no_others(candidates, reference):
    songs, index = candidates
    (kept,), left_out = selection.best(songs, 1, index, reference)
    assert kept.report["chosen"]["why"].endswith("shares nothing")
    assert len(left_out) == 3


def test_mutual_bars_are_those_of_the_longest_run_either_way(line):
    bars = selection.mutual_bars([line(TUNE), line([pitch + 1 for pitch in TUNE]), line(LEAPS)])
    assert bars.tolist() == [[3, 3, 0], [3, 3, 0], [0, 0, 3]]


def test_too_few_held_out_pieces(reference):
    with pytest.raises(
        ConfigError, match=r"^candidates=16: the model has 1 held-out pieces to choose by, expected at le"
    ):
        selection.check_held_out(reference.only([0]), 16)


def test_a_model_without_held_out_pieces(index):
    """Evaluating it adds none, so that is no advice."""
    with pytest.raises(ConfigError, match=r"^candidates=16: the model has 0 held-out pieces to choose by, expected"):
        selection.check("here", index, None, 16, None)
    selection.check("here", index, None, None, 2.0)


@pytest.mark.parametrize(
    ("place", "words"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_ordinals(place, words):
    assert selection._ordinal(place) == words
