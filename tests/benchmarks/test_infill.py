"""table=infill and table=harmonise on a tiny corpus and an untrained model."""

import numpy as np
import pytest

from lstmusic.benchmarks import harmonise, held_out, infill
from lstmusic.benchmarks.song_writing import opened
from lstmusic.errors import ConfigError
from lstmusic.evaluation import voice_leading
from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.events import codec as codecs
from lstmusic.training import checkpoint as folders


class TinyCorpus:
    """Pieces that the tables read: what they ask of a `Corpus`."""

    class Piece:
        def __init__(self, name):
            self.name = name

    def __init__(self, codec, scores):
        self.codec = codec
        self.encoded = [codec.encode(score) for score in scores]
        self.pieces = [self.Piece(f"piece {k}") for k in range(len(scores))]

    def ids(self, piece):
        return self.encoded[piece]

    def indices(self, split):
        return {"train": [0], "valid": [1, 3], "test": [2]}[split]


@pytest.fixture
def corpus_of(phrase):
    return lambda checkpoint: TinyCorpus(opened(checkpoint).codec, [phrase(13, seed) for seed in range(4)])


@pytest.fixture
def checkpoint(steered_model):
    return str(steered_model.folder.path)


def test_held_out_pieces_are_drawn_evenly(corpus_of, checkpoint):
    corpus = corpus_of(checkpoint)
    drawn = held_out.pieces(corpus, 2, lambda score: True)
    assert [(piece.number, piece.name) for piece in drawn] == [(0, "piece 1"), (1, "piece 2")]
    assert held_out.pieces(corpus, 9, lambda score: False) == []
    assert [piece.name for piece in held_out.pieces(corpus, 9, lambda score: True)] == ["piece 1", "piece 2", "piece 3"]


def test_four_bars_written_anew(corpus_of, checkpoint):
    rows = list(infill.rows(corpus_of=corpus_of, models=[checkpoint], songs=1, particles=(1, 3)))
    assert [row["written"] for row in rows] == ["the original", "blindly", "3 particles"]
    assert {row["changed"] for row in rows} == {0}
    (piece,) = held_out.pieces(corpus_of(checkpoint), 1, lambda score: True)
    model = opened(checkpoint)
    nats = piece_nats(model.model, model.codec, piece.ids)
    first = 4 + 4 * 4 * 16  # the header, then four bars of sixteen steps of four voices
    assert rows[0]["gap_nats"] == pytest.approx(nats[first : first + 256].mean(), abs=1e-6)
    assert rows[0]["after_nats"] == pytest.approx(nats[first + 256 : first + 384].mean(), abs=1e-6)
    assert (rows[0]["more_after"], rows[0][infill.ERROR]) == (0.0, None)
    assert infill.summary(rows)[0]["more_after"] == "+0.000"


def test_what_changed_is_counted():
    same = infill.Result(1.0, 2.0, 10, True, 4.0, 0.5)
    changed = infill.Result(3.0, 2.5, 13, False, 2.0, 1.5)
    row = infill._row([same, changed], [same, same])
    assert row == {
        "pieces": 2,
        "gap_nats": 2.0,
        "gap_notes": 11.5,
        "after_nats": 2.25,
        "more_after": 0.25,
        "more_after_error": 0.25,  # 0.5 / sqrt(2), the standard deviation, over sqrt(2)
        "changed": 1,
        "effective_particles": 3.0,
        "seconds": 1.0,
    }
    (shown,) = infill.summary([row])
    assert shown["more_after"] == "+0.250 ± 0.250"
    assert "more_after_error" not in shown


def test_pieces_without_anything_after_the_gap_are_not_counted():
    nothing = infill.Result(1.0, np.nan, 10, True, 4.0, 0.5)
    more = [infill.Result(1.0, nats, 10, True, 4.0, 0.5) for nats in (2.0, 3.0)]
    row = infill._row([*more, nothing], [more[0]] * 3)
    assert (row["more_after"], row["more_after_error"]) == (0.5, pytest.approx(0.5))


def test_no_soprano_is_kept(phrase):
    score, other = phrase(2, 0), phrase(2, 1)
    assert harmonise._row([score], [other])["soprano_kept"] == 0
    assert harmonise._row([score], [])["soprano_kept"] is None


def test_sopranos_are_harmonised(corpus_of, checkpoint):
    rows = list(harmonise.rows(corpus_of=corpus_of, models=[checkpoint], songs=1, particles=(2,)))
    harmonised = ["harmonised, 2 particles", "harmonised, 2 particles, no parallels"]
    assert [row["voices"] for row in rows] == ["the pieces' own", *harmonised, "songs"]
    assert [row["soprano_kept"] for row in rows] == [1, 1, 1, None]
    parallels = [row["parallel_fifths"] + row["parallel_octaves"] for row in rows]
    assert parallels[2] < parallels[1]
    assert rows[0]["as_written"] == 1.0
    assert 0 <= rows[1]["as_written"] < 1
    assert rows[0]["beats"] == 52
    assert all(np.isfinite(rows[0][fault]) for fault in voice_leading.FAULTS)


def test_voices_are_needed(corpus_of, tmp_path):
    sizes, codec = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}, codecs.build("performance")
    folders.save(
        tmp_path / "model", folders.build_model(codec, sizes), codec, sizes=sizes, facts={}, split={}, card="A card.\n"
    )
    with pytest.raises(ConfigError, match="knows no voices"):
        list(harmonise.rows(corpus_of=corpus_of, models=[str(tmp_path / "model")]))
