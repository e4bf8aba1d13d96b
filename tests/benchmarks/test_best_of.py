"""table=best_of: songs are chosen by one half of the held-out pieces and compared with the other."""

from types import SimpleNamespace

import numpy as np
import pytest

from lstmusic import selection
from lstmusic.benchmarks import best_of
from lstmusic.errors import ConfigError
from lstmusic.evaluation import statistics
from lstmusic.evaluation.comparison import compared, two_sample
from lstmusic.evaluation.originality import Index, Run
from lstmusic.evaluation.reference import Reference
from lstmusic.writing import Song

RUN = Run(notes=8, bars=2.0, piece="a", piece_bar=1, bar=1, track="Alto", semitones=0)


@pytest.fixture
def reference(phrase):
    scores = [phrase(2, seed) for seed in range(10)]
    return Reference(
        tuple("abcdefghij"),
        np.linspace(0.5, 1.0, 10),
        np.full(10, 2.0),
        tuple(statistics.STATISTICS),
        statistics.table(scores),
        (RUN, None, RUN, *[None] * 7),
    )


@pytest.fixture
def songs(phrase):
    """Thirty-two songs; the first sixteen last one bar, the others two."""
    return [
        Song(
            phrase(1 + k // 16, 50 + k),
            np.zeros(4, int),
            True,
            {"number": k % 16 + 1, "nats_per_token": k / 16, "originality": None},
        )
        for k in range(32)
    ]


@pytest.fixture
def opened(reference, phrase, songs, monkeypatch):
    """The table's model: one that has written these songs."""
    index = Index.build([("a", phrase(2, 99))])
    model = SimpleNamespace(index=index, reference=reference, check_selection=lambda candidates: None)
    asked = []

    def write(name, count):
        asked.append((name, count))
        return SimpleNamespace(songs=songs[:count])

    monkeypatch.setattr(best_of, "opened", lambda name: model)
    monkeypatch.setattr(best_of, "write", write)
    return asked


def test_halves_share_no_piece(reference):
    first, second = best_of.halves(reference)
    assert (first.pieces, second.pieces) == (tuple("acegi"), tuple("bdfhj"))


def test_rows(opened, reference, songs, monkeypatch):
    chosen = []
    best = selection.best

    def choose(group, keep, index, by):
        chosen.append((len(group), keep, by.pieces))
        return best(group, keep, index, by)

    monkeypatch.setattr(best_of.selection, "best", choose)
    rows = {row["what"]: row for row in best_of.rows(models=["here"], songs=7)}
    assert opened == [("here", 32)]  # two times four are kept
    halves = [tuple("acegi"), tuple("bdfhj")]
    assert chosen == [(16, 4, halves[0])] * 2 + [(16, 4, halves[1])] * 2
    assert len(rows) == len(statistics.STATISTICS) + 5
    plain = [*songs[:4], *songs[16:20]]
    own = [statistics.measured(song.score)["mean_pitch"] for song in plain]
    real = reference.statistics[:, list(reference.names).index("mean_pitch")]
    row = rows["mean pitch"]
    assert row["plain"]["mean"] == pytest.approx(np.mean(own))
    overlaps = [compared(real[half::2], np.array(own)).overlap for half in (1, 0)]
    assert row["plain"]["overlap"] == pytest.approx(np.mean(overlaps))
    assert rows["length in bars"]["held_out"] == {"mean": 2, "sd": 0}
    assert rows["nats per token"]["plain"]["mean"] == pytest.approx((1.5 + 17.5) / 2 / 16)
    table = statistics.table([song.score for song in plain])
    aucs = [two_sample(reference.statistics[half::2], table).value for half in (1, 0)]
    assert rows[best_of.OF_ALL]["plain"]["value"] == pytest.approx(np.mean(aucs))


def test_summary(opened):
    rows = list(best_of.rows(models=["here"], songs=4))
    lines = {line[""]: line for line in best_of.summary(rows)}
    assert len({tuple(line) for line in lines.values()}) == 1  # one table: the same columns in all rows
    assert lines["length in bars"]["held out"] == "2 (0)"
    auc = rows[-2]["best"]
    assert lines[best_of.OF_ALL]["best of 16"] == f"{auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f})"
    figures = next(row for row in rows if row["what"] == "mean pitch")
    ways = [f"{figures[way]['overlap']:.2f}" for way in ("plain", "best")]
    assert lines["mean pitch"]["overlapping area"] == " → ".join(ways)


def test_too_few_held_out_pieces(opened, reference, monkeypatch):
    model = SimpleNamespace(reference=reference.only([0, 1, 2]), check_selection=lambda candidates: None)
    monkeypatch.setattr(best_of, "opened", lambda name: model)
    with pytest.raises(ConfigError, match="the model has 1 held-out pieces"):
        list(best_of.rows(models=["here"]))
