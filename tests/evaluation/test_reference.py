"""What a model's songs are measured against: measured once, kept beside the model, read back."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from lstmusic.errors import CheckpointError, OutputError
from lstmusic.evaluation import reference, statistics
from lstmusic.evaluation.likelihood import nats_per_piece, piece_nats
from lstmusic.evaluation.originality import Index, Run
from lstmusic.evaluation.reference import INDEX_FILE, REFERENCE_FILE, Reference
from lstmusic.events import codec as codecs

RUN = Run(notes=9, bars=2.0, piece="a", piece_bar=3, bar=1, track="Alto", semitones=-2)


class SmallCorpus:
    """Pieces in memory, in the form that a corpus has."""

    def __init__(self, codec, scores, splits):
        self.codec, self.splits = codec, splits
        self._ids = [codec.encode(score) for score in scores]
        self.pieces = [SimpleNamespace(name=f"piece {k}") for k in range(len(scores))]

    def ids(self, piece):
        return self._ids[piece]

    def indices(self, split):
        return [k for k, own in enumerate(self.splits) if own == split]

    def piece_names(self):
        return {split: [self.pieces[k].name for k in self.indices(split)] for split in ("train", "valid", "test")}


@pytest.fixture
def corpus(phrase):
    """Three training pieces, and of two held-out ones the first repeats the second of them, two bars further on."""
    scores = [phrase(4, seed) for seed in range(3)]
    repeated = phrase(4, 1)
    return SmallCorpus(codecs.build("chorale"), [*scores, repeated, phrase(2, 9)], ["train"] * 3 + ["valid", "test"])


@pytest.fixture
def model(corpus, tiny_model):
    return tiny_model(corpus.codec)


def test_held_out_pieces_are_measured(model, corpus):
    found = reference.measured(model, corpus, reference.indexed(corpus))
    assert found.pieces == ("piece 3", "piece 4")
    scored = [corpus.codec.scored(corpus.ids(k))[corpus.codec.group_size :] for k in (3, 4)]
    nats = [piece_nats(model, corpus.codec, corpus.ids(k))[own].mean() for k, own in zip((3, 4), scored, strict=True)]
    np.testing.assert_allclose(found.nats, nats, rtol=1e-5)
    expected = statistics.table([corpus.codec.decode(corpus.ids(k)) for k in (3, 4)])
    np.testing.assert_array_equal(found.statistics, expected)
    assert found.bars.tolist() == [4, 2]
    assert found.runs[0].piece == "piece 1"
    assert found.runs[0].bars == pytest.approx(4)
    assert found.runs[1] is None or found.runs[1].bars < 4
    assert found.band.pieces == 2


def test_nats_of_many_pieces_in_few_lanes(corpus, tiny_model, monkeypatch):
    model = tiny_model(corpus.codec)
    monkeypatch.setattr(reference, "NUM_LANES", 2)
    monkeypatch.setattr(reference, "WINDOW_STEPS", 5)
    order = [4, 0, 3, 2]
    found = nats_per_piece(model, reference._lanes(corpus, order))
    for piece, nats in zip(order, found, strict=True):
        scored = corpus.codec.scored(corpus.ids(piece))[corpus.codec.group_size :]
        assert nats == pytest.approx(piece_nats(model, corpus.codec, corpus.ids(piece))[scored].mean(), rel=1e-5)


def test_many_held_out_pieces_are_thinned_evenly(model, corpus, monkeypatch):
    monkeypatch.setattr(reference, "MAX_PIECES", 2)
    corpus.splits = ["train", "valid", "valid", "valid", "test"]
    assert reference.measured(model, corpus, reference.indexed(corpus)).pieces == ("piece 1", "piece 3")


def test_without_held_out_pieces_there_is_an_index_only(model, corpus):
    corpus.splits = ["train"] * 5
    assert list(reference.extras(model, corpus)) == [INDEX_FILE]


def small() -> Reference:
    table = np.array([[0.25, math.nan], [1 / 3, 2.0], [0.0, 7.0]])
    return Reference(
        ("a", "b", "c"),
        np.array([0.5, 0.75, 1.0]),
        np.array([8.0, 9.5, 4.0]),
        ("polyphony", "mean_pitch"),
        table,
        (RUN, None, RUN),
    )


def test_what_is_written_is_read_back():
    read = Reference.from_bytes(small().to_bytes(), "file")
    assert (read.pieces, read.names, read.runs) == (small().pieces, small().names, small().runs)
    np.testing.assert_array_equal(read.nats, small().nats)
    np.testing.assert_array_equal(read.bars, small().bars)
    np.testing.assert_allclose(read.statistics, small().statistics, rtol=1e-5)
    assert len(small().to_bytes().splitlines()) == 3 + 3 + 1  # a line for each piece


def test_statistics_that_are_not_known_here_are_left_out():
    told = json.loads(small().to_bytes())
    told["statistics"][0] = "of a later version"
    read = Reference.from_bytes(json.dumps(told).encode(), "file")
    assert read.names == ("mean_pitch",)
    np.testing.assert_array_equal(read.statistics[:, 0], small().statistics[:, 1])


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("held_out"),
        lambda told: told.update(format=99),
        lambda told: told["held_out"][0].pop("shared"),
    ],
)
def test_a_damaged_file_is_named(change):
    told = json.loads(small().to_bytes())
    change(told)
    with pytest.raises(CheckpointError, match=r"^the/file: "):
        Reference.from_bytes(json.dumps(told).encode(), "the/file")
    with pytest.raises(CheckpointError, match="damaged"):
        Reference.from_bytes(small().to_bytes()[:-9], "the/file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row.update(nats_per_token=None), "nats_per_token of piece 'a' is nan, expected a finite number"),
        (
            lambda row: row.update(nats_per_token=math.inf),
            "nats_per_token of piece 'a' is inf, expected a finite number",
        ),
        (lambda row: row.update(bars=None), "bars of piece 'a' is nan, expected a positive number"),
        (lambda row: row.update(bars=0), "bars of piece 'a' is 0, expected a positive number"),
        (lambda row: row["shared"].update(bars=None), "damaged"),
        (lambda row: row["shared"].update(bars="2"), "damaged"),
    ],
)
def test_numbers_that_nothing_can_be_measured_by_are_refused(change, words):
    told = json.loads(small().to_bytes())
    change(told["held_out"][0])
    with pytest.raises(CheckpointError) as raised:
        Reference.from_bytes(json.dumps(told).encode(), "the/file")
    assert str(raised.value).startswith("the/file: ")
    assert words in str(raised.value)


def test_pieces_whose_nats_are_not_finite_are_left_out(model, corpus, monkeypatch):
    nats = [math.nan, 0.5]
    monkeypatch.setattr(reference, "nats_per_piece", lambda model, lanes: np.array(nats))
    found = reference.measured(model, corpus, reference.indexed(corpus))
    assert (found.pieces, found.nats.tolist()) == (("piece 4",), [0.5])
    assert Reference.from_bytes(found.to_bytes(), "file").pieces == ("piece 4",)
    nats[1] = math.inf
    assert reference.measured(model, corpus, reference.indexed(corpus)) is None


def test_the_share_of_held_out_pieces_that_share_as_much():
    assert small().beyond(RUN) == pytest.approx(2 / 3)
    assert small().beyond(RUN._replace(bars=2.5)) == 0
    assert small().beyond(None) == 1


def test_some_of_the_pieces():
    some = small().only([2, 1])
    assert (some.pieces, some.runs, some.nats.tolist()) == (("c", "b"), (RUN, None), [1.0, 0.75])
    assert some.bars.tolist() == [4.0, 9.5]
    assert some.statistics.tolist() == [[0.0, 7.0], [1 / 3, 2.0]]


def test_missing_files_are_added_and_others_stay(model, corpus, tmp_path):
    (tmp_path / INDEX_FILE).write_bytes(b"mine")
    assert reference.add(tmp_path, model, corpus.piece_names(), corpus) == [REFERENCE_FILE]
    assert (tmp_path / INDEX_FILE).read_bytes() == b"mine"
    assert reference.reference_of(tmp_path).pieces == ("piece 3", "piece 4")
    assert reference.add(tmp_path, model, corpus.piece_names(), corpus) == []
    (tmp_path / INDEX_FILE).unlink()
    assert reference.add(tmp_path, model, corpus.piece_names(), corpus) == [INDEX_FILE]
    assert isinstance(reference.index_of(tmp_path), Index)


def test_without_held_out_pieces_nothing_is_computed_again(model, corpus, tmp_path, monkeypatch):
    corpus.splits = ["train"] * 5
    assert reference.add(tmp_path, model, corpus.piece_names(), corpus) == [INDEX_FILE]
    monkeypatch.setattr(reference, "extras", lambda model, corpus: pytest.fail("computed again"))
    assert reference.add(tmp_path, model, corpus.piece_names(), corpus) == []


def test_a_model_without_a_folder_has_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / INDEX_FILE).write_bytes(b"of somebody else")
    (tmp_path / REFERENCE_FILE).write_bytes(b"of somebody else")
    assert reference.index_of(None) is reference.reference_of(None) is None


def test_another_split_adds_nothing(model, corpus, tmp_path):
    assert reference.add(tmp_path, model, {"train": ["piece 0"], "valid": [], "test": []}, corpus) == []
    assert reference.index_of(tmp_path) is reference.reference_of(tmp_path) is None


def test_a_folder_that_is_gone_is_named(model, corpus, tmp_path):
    with pytest.raises(OutputError, match=r"originality\.npz: cannot be written"):
        reference.add(tmp_path / "gone", model, corpus.piece_names(), corpus)
