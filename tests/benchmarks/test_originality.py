"""table=originality: bars are planted as by hand, found again, and what is shared is counted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lstmusic.benchmarks import originality, overfitted, planting
from lstmusic.evaluation.originality import Run
from lstmusic.evaluation.reference import indexed
from lstmusic.events import codec as codecs

BAR = 1920  # ticks of 4/4


@pytest.fixture
def eighths(score_of):
    """A function: so many bars of eighths of one part, from a seed."""

    def build(bars, seed):
        pitches = np.random.default_rng(seed).integers(60, 72, 8 * bars).tolist()
        return score_of([(240 * k, 240, pitch, 80, 0) for k, pitch in enumerate(pitches)])

    return build


def corpus(codec, **splits):
    """Pieces by split as a corpus has them."""
    scores = [score for pieces in splits.values() for score in pieces]
    names = [f"{split}-{k}" for split, pieces in splits.items() for k in range(len(pieces))]
    ids = [codec.encode(score) for score in scores]
    return SimpleNamespace(
        codec=codec,
        indices=lambda split: [k for k, name in enumerate(names) if name.startswith(split)],
        ids=lambda piece: ids[piece],
        pieces=[SimpleNamespace(name=name, length=len(own)) for name, own in zip(names, ids, strict=True)],
    )


def test_four_bars_by_hand(eighths):
    piece, song = eighths(6, seed=1), eighths(12, seed=2)
    score, bars = planting._plant(song, piece, (1, 5))
    # the song's 13 lines have their middle at its seventh bar; four bars last 4.4 there
    at, end = 6 * BAR, 6 * BAR + round(4.4 * BAR)
    assert bars == (7, 11)
    onset = score.notes["onset_tick"]
    new = score.notes[(onset >= at) & (onset < end)]
    taken = piece.notes[8:40]
    assert new["onset_tick"].tolist() == [at + 264 * k for k in range(32)]
    assert set(new["duration_tick"].tolist()) == {264}
    assert new["pitch"].tolist() == (taken["pitch"] + 5).tolist()
    rest = score.notes[(onset < at) | (onset >= end)]
    assert np.array_equal(rest, song.notes[(song.notes["onset_tick"] < at) | (song.notes["onset_tick"] >= end)])


def test_pitches_stay_within_midi_and_parts_that_a_song_has_not_come_with_their_tracks(score_of, eighths):
    piece = score_of([(240 * k, 240, 122 + k % 3, 80, k % 2) for k in range(32)])
    score, _ = planting._plant(eighths(12, seed=0), piece, (0, 4))
    new = score.notes[score.notes["pitch"] > 100]
    assert sorted(set(new["pitch"].tolist())) == [115, 116, 117]  # an octave lower
    assert [track.name for track in score.tracks] == ["part 0", "part 1"]


def test_bars_of_a_quarter_are_taken_by_the_dozen(score_of):
    rng = np.random.default_rng(0)
    short = score_of([(240 * k, 240, 60, 80, 0) for k in range(64)], meter=(1, 4))
    spans = [planting._busy_bars(short, rng) for _ in range(30)]
    assert {last - first for first, last in spans} == {8}
    few = score_of([(480 * k, 480, 60, 80, 0) for k in range(11)])
    assert planting._busy_bars(few, rng) is None


@pytest.mark.parametrize("name", ["melody", "metrical", "performance"])
def test_what_is_planted_is_found(name, eighths):
    own = corpus(codecs.build(name), train=[eighths(12, seed) for seed in range(5)])
    songs = [eighths(12, 10 + seed) for seed in range(2)]
    planted = planting.planted(own, songs, count=8)
    assert sorted(song.piece for song in planted) == [f"train-{k}" for k in range(5)]
    results = planting.found(indexed(own), planted)
    assert all(result.source and not result.repeat and not result.other_piece for result in results)
    assert all(result.run.semitones == 5 and result.run.bars == pytest.approx(4.4, abs=0.4) for result in results)


def test_the_same_notes_elsewhere_are_told_apart(eighths):
    here = planting.Planted(eighths(2, 0), bars=(7, 11), piece="a", piece_bars=(20, 23))

    def judged(piece, piece_bar, bar=7):
        result = planting._judged(here, Run(9, 4.4, piece, piece_bar, bar, "", 5))
        return result.source, result.repeat, result.other_piece

    assert judged("a", 20) == judged("a", 19) == judged("a", 23) == (True, False, False)
    assert judged("a", 18) == judged("a", 24) == (False, True, False)
    assert judged("b", 20) == (False, False, True)
    assert judged("a", 20, bar=12) == judged("a", 20, bar=5) == (False, False, False)
    assert planting._judged(here, None) == (None, False, False, False)


@pytest.fixture
def small(monkeypatch):
    """Little to learn by heart, and little that learns it."""
    monkeypatch.setattr(overfitted, "SIZES", {"cell": "lstm", "embedding_size": 16, "hidden_size": 48, "num_layers": 1})
    monkeypatch.setattr(overfitted, "EPOCHS", 80)


def test_a_model_learns_by_heart(small, phrase):
    codec = codecs.build("chorale")
    pieces = [codec.encode(phrase(3, seed)) for seed in range(2)]
    before = torch.get_rng_state()
    model = overfitted.overfitted(codec, pieces, epochs=overfitted.EPOCHS)
    assert torch.equal(before, torch.get_rng_state())
    assert all(model.nll(phrase(3, seed)).mean() < 0.2 for seed in range(2))
    assert model.nll(phrase(3, 2)).mean() > 1


def copying(codec, pieces, note):
    """A model that writes one of its pieces."""
    note("learning by heart")
    return SimpleNamespace(generate=lambda songs: [SimpleNamespace(score=codec.decode(pieces[0]))] * songs)


def test_rows_and_their_summary(phrase, tiny_checkpoint, monkeypatch):
    checkpoint, notes = tiny_checkpoint("chorale"), []
    own = corpus(
        codecs.build("chorale"),
        train=[phrase(6, seed) for seed in range(4)],
        valid=[phrase(6, 4)],
        test=[phrase(6, 5), phrase(6, 0)],
    )
    written = SimpleNamespace(songs=[SimpleNamespace(score=phrase(bars, 6 + bars)) for bars in (3, 5)])
    monkeypatch.setattr(originality, "write", lambda model, songs: written)
    monkeypatch.setattr(originality, "LEARNED_BY_HEART", 2)
    monkeypatch.setattr(originality, "OVERFITTED_SONGS", 4)
    monkeypatch.setattr(originality, "overfitted", lambda codec, pieces, note: copying(codec, pieces, note))
    rows = list(originality.rows(note=notes.append, corpus_of=lambda model: own, models=[checkpoint], songs=2))
    held_out, songs, beginnings, planted, copies = rows
    cases = ["held-out pieces", "songs", "held-out beginnings", "planted", "overfitted"]
    assert [row["case"] for row in rows] == cases
    assert all(row.keys() == held_out.keys() for row in rows)
    assert (held_out["pieces"], held_out["bars_most"], held_out["notes_most"]) == (
        3,
        6.0,
        24.0,
    )  # one is a training piece
    assert held_out["more_than_held_out"] == 0.5
    assert held_out["index_s"] > 0
    train_bytes = 2 * sum(own.pieces[k].length for k in range(4))
    assert held_out["share_of_corpus"] == len(indexed(own).to_bytes()) / train_bytes
    assert songs["pieces"] == 2
    assert (beginnings["pieces"], beginnings["bars_most"], beginnings["notes_most"]) == (3, 4.0, 16.0)
    assert (planted["pieces"], planted["source"], planted["bars_median"]) == (4, 1.0, pytest.approx(4.4, abs=0.4))
    assert (copies["pieces"], copies["source"], copies["bars_median"]) == (4, 1.0, 6.0)
    assert copies["more_than_held_out"] == pytest.approx((2 + 0.5) / 3)  # longer than two of the held-out pieces
    assert notes[-1] == f"{checkpoint}: learning by heart"
    table = originality.summary(rows)
    assert table[3]["model"] == f"{checkpoint} (chorale)"
    assert table[3]["source"] == "100.0%"
    assert table[1]["source"] is None


def test_shares_by_hand():
    def run(bars):
        return Run(8, bars, "a", 1, 1, "", 0)

    # of 8 pairs the song's is the longer in 3 (3 over 0, 1, 2) and as long in 2 (3 and 3, 0 and 0)
    row = originality._row("songs", [run(3.0), None], [None, run(1.0), run(2.0), run(3.0)])
    assert row["more_than_held_out"] == 4 / 8
    assert row["beyond_held_out"] == 0.5  # 95 % share fewer than 2.85 bars
    assert (row["bars_median"], row["bars_most"], row["notes_most"]) == (1.5, 3.0, 8.0)
