"""Snapshots as values: their files, what is refused, and states between two."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lstmusic.errors import ConfigError, MissingFileError, OutputError
from lstmusic.events import codec as codecs
from lstmusic.sampling.snapshot import Origin, Snapshot

MINE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def snapshot():
    """Of one layer of two units: BOS and the header of a chorale."""
    codec = codecs.build("chorale")
    header = [codec.vocabulary.slice_of(kind).start for kind in ("METER", "POSITION", "TEMPO", "KEY")]
    ids = [*codec.grammar.bos(), *header]
    state = (np.array([[0.5, -0.25]], np.float32), np.array([[1.0, 3.0]], np.float32))
    return Snapshot(np.array(ids), state, MINE, "one", origin=Origin(5, 1, 0, 8), checkpoint="tiny", encoding="chorale")


@pytest.fixture
def other(snapshot):
    """Another one of the same model, its ids BOS alone."""
    state = (np.array([[0.0, 0.75]], np.float32), np.array([[-1.0, 1.0]], np.float32))
    return replace(snapshot, ids=snapshot.ids[:4], state=state, name="two", origin=None)


def listed(parts):
    return [part.tolist() for part in parts]


def test_a_file_gives_back_what_was_written(snapshot, tmp_path):
    told = tuple(part / 3 for part in snapshot.state)
    written = replace(snapshot, told=told, bars=1.5)
    path = written.write(tmp_path / "a.json")
    read = Snapshot.read(path)
    assert read.ids.tolist() == written.ids.tolist()
    assert listed(read.state) == listed(written.state)
    assert listed(read.told) == listed(told)
    for name in ("name", "model_sha256", "origin", "checkpoint", "encoding", "bars"):
        assert getattr(read, name) == getattr(written, name)
    assert json.loads(path.read_text())["format"] == "lstmusic snapshot 1"


def test_every_float_comes_back_to_the_bit(tmp_path):
    numbers = np.random.default_rng(0).standard_normal((3, 7)).astype(np.float32) * np.float32(1e-30)
    odd = np.array([[np.float32(1e-45), -0.0, 3.4e38]], np.float32)  # subnormal, signed zero, nearly the largest
    read = Snapshot.read(Snapshot(np.array([1]), (numbers, odd), MINE).write(tmp_path / "a.json"))
    assert [part.tobytes() for part in read.state] == [numbers.tobytes(), odd.tobytes()]


def test_a_file_that_exists_is_not_written_over(snapshot, tmp_path):
    path = tmp_path / "a.json"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=r"state.save=.*a.json: exists already, expected a name for a new file"):
        snapshot.write(path)
    assert path.read_text() == "precious"
    with pytest.raises(OutputError):
        snapshot.write(tmp_path / "nowhere" / "a.json")


DAMAGES = {
    "not JSON": (lambda values: "{", "not JSON"),
    "another thing": (lambda values: [1, 2], "not 'lstmusic snapshot 1', expected a file that state.save= wrote"),
    "another format": (lambda values: values | {"format": "lstmusic snapshot 9"}, "not 'lstmusic snapshot 1'"),
    "a name that is none": (lambda values: values | {"name": 3}, "name is 3"),
    "a name that is no text": (lambda values: values | {"name": "\ud800x"}, "name='\\ud800x': expected text without"),
    "a name of two lines": (lambda values: values | {"name": "a\nb"}, "name='a\\nb': expected text without"),
    "a model that colours": (
        lambda values: values | {"checkpoint": "\x1b[31m"},
        "checkpoint='\\x1b[31m': expected text",
    ),
    "endless bars": (lambda values: values | {"bars": float("inf")}, "bars=inf: expected a number from 0"),
    "bars that are none": (lambda values: values | {"bars": float("nan")}, "bars=nan: expected a number from 0"),
    "fewer than no bars": (lambda values: values | {"bars": -5}, "bars=-5.0: expected a number from 0"),
    "torn ids": (lambda values: values | {"ids": {"sha256": "", "ids": "%%"}}, "the snapshot's ids are damaged"),
    "no state": (lambda values: {k: v for k, v in values.items() if k != "state"}, "damaged (KeyError('state')"),
    "odd shapes": (lambda values: _with_state(values, shapes=[[1, 2], [1, 3]]), "its state is damaged"),
    "shapes of text": (lambda values: _with_state(values, shapes="12"), "damaged"),
    "torn floats": (lambda values: _with_state(values, float32="AAAA="), "its state is damaged"),
    "other floats": (lambda values: _with_state(values, float32="AAAA" * 5), "its state is damaged"),
    "a changed float": (lambda values: _with_state(values, sha256="0" * 64), "its state is damaged"),
    "an odd origin": (lambda values: values | {"origin": values["origin"] | {"drawn": -1}}, "drawn is -1"),
    "an origin of text": (lambda values: values | {"origin": "here"}, "damaged"),
}


def _with_state(values, **changes):
    return values | {"state": values["state"] | changes}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_file_is_refused_in_one_line(snapshot, tmp_path, case):
    damage, words = DAMAGES[case]
    path = tmp_path / "a.json"
    damaged = damage(snapshot.to_json())
    path.write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
    with pytest.raises(ConfigError) as raised:
        Snapshot.read(path)
    assert str(raised.value).startswith(f"state.load={path}: ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_name_is_text_in_any_language(snapshot, tmp_path):
    written = replace(snapshot, name="Präludium\u00a0№ 1 — 序曲 👩\u200d🎤").write(tmp_path / "a.json")
    assert Snapshot.read(written).name == "Präludium\u00a0№ 1 — 序曲 👩\u200d🎤"
    for odd in ("\ud800", "a\tb", "\x9b31m", "a\u2028b"):
        with pytest.raises(ConfigError, match="expected text without control characters"):
            replace(snapshot, name=odd)


def test_numbers_that_are_none_are_refused(snapshot):
    for odd in (np.nan, np.inf):
        values = replace(snapshot, state=(np.array([[odd]], np.float32),)).to_json()
        with pytest.raises(ConfigError, match="its state is damaged"):
            Snapshot.of_json(values)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"state.load=.*nowhere.json: no such file"):
        Snapshot.read(tmp_path / "nowhere.json")


def test_a_snapshot_fits_its_model_alone(tiny_model, snapshot):
    codec = codecs.build("chorale")
    model = tiny_model(codec, hidden_size=2, layers=1)
    snapshot.check(model, codec.grammar, MINE)
    with pytest.raises(
        ConfigError, match=r"taken with the model tiny \(sha256 aaaaaaaaaaaa…\), expected the one at hand"
    ):
        snapshot.check(model, codec.grammar, OTHER)
    for cell, layers, found in (("gru", 1, r"\[\(1, 2\)\]"), ("lstm", 2, r"\[\(2, 2\), \(2, 2\)\]")):
        with pytest.raises(ConfigError, match=rf"parts of \[\(1, 2\), \(1, 2\)\], expected {found}"):
            snapshot.check(tiny_model(codec, hidden_size=2, layers=layers, cell=cell), codec.grammar, MINE)
    ends = np.full(4, codec.vocabulary.id("EOS"))
    for ids, words in (
        (snapshot.ids[:5], "5 ids: expected whole groups of 4"),
        (snapshot.ids[[0, 1, 2, 3, 3, 3, 3, 3]], "position 4: .* is not allowed here"),
        (np.r_[snapshot.ids, np.full(4, codec.vocabulary.id("PITCH", 60)), ends], "its piece has ended"),
    ):
        with pytest.raises(ConfigError, match=words):
            replace(snapshot, ids=ids).check(model, codec.grammar, MINE)


def test_a_blend_is_a_weighted_mean_with_the_ids_of_the_nearer(snapshot, other):
    quarter = snapshot.blended(other, 0.25)
    assert listed(quarter.state) == [[[0.375, 0.0]], [[0.5, 2.5]]]
    assert quarter.ids.tolist() == snapshot.ids.tolist()
    assert quarter.origin is None
    assert quarter.name == "0.25 of the way from one to two"
    half = snapshot.blended(other, 0.5)
    assert listed(half.state) == [[[0.25, 0.25]], [[0.0, 2.0]]]
    assert half.ids.tolist() == other.ids.tolist()
    assert half.state[0].dtype == np.float32


def test_no_share_and_all_of_it_are_the_snapshots_themselves(snapshot, other):
    assert snapshot.blended(other, 0) is snapshot
    assert snapshot.blended(other, 1.0) is other


def test_a_told_half_is_blended_with_the_state_of_one_that_was_told_nothing(snapshot, other):
    told = (np.array([[1.0, 1.0]], np.float32), np.array([[0.0, 0.0]], np.float32))
    blend = replace(snapshot, told=told).blended(other, 0.5)
    assert listed(blend.told) == [[[0.5, 0.875]], [[-0.5, 0.5]]]
    assert snapshot.blended(other, 0.5).told is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_one(snapshot, other, share):
    with pytest.raises(ConfigError, match=r"blend .*: expected a share of 0 to 1"):
        snapshot.blended(other, share)


def test_models_are_not_mixed(snapshot, other):
    with pytest.raises(ConfigError, match=r"blend of two models, tiny .* and tiny .*: expected one"):
        snapshot.blended(replace(other, model_sha256=OTHER), 0.5)


def test_lanes_are_told_and_untold(snapshot):
    told = tuple(part + 1 for part in snapshot.state)
    one, two = (replace(snapshot, told=told).lanes(count, "cpu") for count in (1, 2))
    assert [part.shape for part in two] == [(1, 2, 2)] * 2
    for part, both, mine, theirs in zip(one, two, snapshot.state, told, strict=True):
        assert part[:, 0].tolist() == both[:, 1].tolist() == mine.tolist()
        assert both[:, 0].tolist() == theirs.tolist()
    assert [part.tolist() for part in snapshot.lanes(2, "cpu")] == [
        [[[0.5, -0.25], [0.5, -0.25]]],
        [[[1.0, 3.0], [1.0, 3.0]]],
    ]
