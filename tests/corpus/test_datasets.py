"""Data sets by name: tiny ones of the same layout, and the real ones where somebody has them."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from scipy.io import savemat

from lstmusic import config
from lstmusic.corpus import datasets, sources
from lstmusic.corpus.sources import PieceRef
from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.schema import DataConfig, DataFile
from lstmusic.score import midi

JSB = {
    "train": [[[72, 67, 60, 48]] * 4 + [[74, -1, 60, 48]] * 4, [[60, 55, 52, 36]] * 8],
    "valid": [[[70, 65, 58, 46]] * 8],
    "test": [[[71, 66, 59, 47]] * 8],
}
NAMES = {"jsb16": "Jsb16thSeparated.json", "maestro": "maestro-v3.0.0-midi.zip", "polymusic": "JSB_Chorales.mat"}


@pytest.fixture
def find(tmp_path, monkeypatch):
    """A function: the source of a data set whose one file holds these bytes."""
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "sets"))

    def build(name, data, file="", **options):
        file = file or NAMES[name]
        (tmp_path / "sets" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sets" / name / file).write_bytes(data)
        files = [DataFile(file, hashlib.sha256(data).hexdigest())]
        return sources.find(DataConfig(name, files=files, cache=str(tmp_path / "cache"), **options))

    return build


@pytest.fixture
def song(phrase, tmp_path):
    midi.write(phrase(), tmp_path / "song.mid")
    return (tmp_path / "song.mid").read_bytes()


def packed(files, kind):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w:xz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_jsb16_has_a_split_of_its_own(find):
    data = json.dumps(JSB).encode()
    source = find("jsb16", data)
    assert [ref.name for ref in source.pieces] == ["train-000", "train-001", "valid-000", "test-000"]
    assert [ref.split for ref in source.pieces] == ["train", "train", "valid", "test"]
    assert source.fingerprint == hashlib.sha256(data).hexdigest()
    notes = sources.read_piece(source.pieces[0]).notes
    rows = [(n["track"], n["pitch"], n["onset_tick"] // 120, n["duration_tick"] // 120) for n in notes]
    assert rows == [(0, 72, 0, 4), (1, 67, 0, 4), (2, 60, 0, 8), (3, 48, 0, 8), (0, 74, 4, 4)]


def test_maestro_takes_its_split_from_its_table(find, song):
    rows = [("2004/a.midi", "train"), ("2006/b.midi", "validation"), ("2006/c.midi", "test")]
    table = "canonical_composer,split,midi_filename\n" + "".join(f'"Bach, J.",{s},{name}\n' for name, s in rows)
    files = {f"maestro-v3.0.0/{name}": song for name, _ in rows}
    source = find("maestro", packed({"maestro-v3.0.0/maestro-v3.0.0.csv": table, **files}, "zip"))
    assert [(ref.name, ref.split) for ref in source.pieces] == [
        ("2004/a.midi", "train"),
        ("2006/b.midi", "valid"),
        ("2006/c.midi", "test"),
    ]
    assert [len(sources.read_piece(ref).notes) for ref in source.pieces] == [32, 32, 32]


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_nottingham_is_its_tunes_whatever_the_packing(find, song, kind):
    root = "nottingham-dataset-0992bb6/" if kind == "zip" else ""
    inside = ("MIDI/jigs1.mid", "MIDI/ashover2.mid", "MIDI/melody/jigs1.mid", "MIDI/chords/jigs1.mid", "README.md")
    source = find("nottingham", packed({root + name: song for name in inside}, kind), f"n.{kind}")
    assert [(ref.name, ref.split) for ref in source.pieces] == [("ashover2.mid", ""), ("jigs1.mid", "")]
    assert len(sources.read_piece(source.pieces[1]).notes) == 32


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_pop909_is_its_songs_without_their_versions(find, song, kind):
    inside = {
        "zip": ("P-d83/POP909/001/001.mid", "P-d83/POP909/001/versions/001-v1.mid", "P-d83/POP909.zip"),
        "tar.xz": ("POP909/001.mid", "POP909/LICENSE"),
    }
    source = find("pop909", packed(dict.fromkeys(inside[kind], song), kind), f"p.{kind}")
    assert [ref.name for ref in source.pieces] == ["001.mid"]
    assert len(sources.read_piece(source.pieces[0]).notes) == 32


def rolls(*pieces):
    cells = np.empty((1, len(pieces)), object)
    for k, keys in enumerate(pieces):
        cells[0, k] = np.zeros((len(keys), 88), np.uint8)
        for step, down in enumerate(keys):
            cells[0, k][step, [key - 21 for key in down]] = 1
    return cells


def test_polymusic_has_held_notes_and_its_own_split(find):
    out = io.BytesIO()
    piece = rolls([{60, 64}, {60}, set(), {60, 108}], [{21}])
    savemat(out, {"traindata": piece, "validdata": rolls([{50}]), "testdata": rolls([{51}])}, do_compression=True)
    source = find("polymusic", out.getvalue(), subset="JSB_Chorales")
    assert [(ref.name, ref.split) for ref in source.pieces] == [
        ("train-000", "train"),
        ("train-001", "train"),
        ("valid-000", "valid"),
        ("test-000", "test"),
    ]
    score = sources.read_piece(source.pieces[0])
    quarter = score.ticks_per_quarter
    rows = [(n["pitch"], n["onset_tick"] / quarter, n["duration_tick"] / quarter, n["track"]) for n in score.notes]
    assert rows == [(60, 0, 2, 0), (64, 0, 1, 0), (60, 3, 1, 0), (108, 3, 1, 0)]
    assert [int(sources.read_piece(ref).notes["pitch"][0]) for ref in source.pieces[1:]] == [21, 50, 51]


def test_a_subset_that_is_not_there_is_named(find):
    with pytest.raises(ConfigError, match=r"data\.subset=JSB: expected one of JSB_Chorales, Nottingham, MuseData"):
        find("polymusic", b"", subset="JSB")
    with pytest.raises(ConfigError, match=r"data\.subset=x: belongs to data=polymusic, came with data=bach"):
        DataConfig("bach", subset="x")


@pytest.mark.parametrize("name", ["jsb16", "maestro", "nottingham", "polymusic", "pop909"])
def test_every_data_set_says_what_it_is_and_where_it_is(name):
    data = config.compose("train", [f"data={name}"]).config.data
    assert data.licence and data.citation
    assert any(file.url.startswith("https://") for file in data.files)
    for file in data.files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.name


def test_a_grid_and_its_encoding_are_the_same_music():
    codec = codecs.build("chorale", strikes=False)
    rng = np.random.default_rng(0)
    grid = np.repeat(rng.integers(48, 72, (30, 4)), 2, axis=0)
    grid[4:9, 2] = -1
    ids = codec.encode(datasets.grid_score(grid))
    assert codec.scored(ids).sum() == grid.size
    back = np.zeros_like(grid)
    for note in codec.decode(ids).notes:
        start = note["onset_tick"] // 120
        back[start : start + note["duration_tick"] // 120, note["track"]] = note["pitch"]
    assert np.array_equal(back, np.maximum(grid, 0))


def test_a_grid_without_a_tempo_walks_at_that_of_a_chorale():
    assert datasets.grid_score(np.full((4, 4), 60)).tempi["us_per_quarter"].tolist() == [750_000]


def test_every_chorale_of_music21_is_found():
    source = datasets.bach()
    assert len(source.pieces) == 350
    assert len({ref.name for ref in source.pieces}) == 350
    assert datasets.bach().fingerprint == source.fingerprint


@pytest.mark.parametrize(("work", "meter", "key", "pickup"), [("bach/bwv269", (3, 4), (7, False), 480)])
def test_a_chorale_of_music21_has_voices_meter_key_pickup_and_a_walking_tempo(work, meter, key, pickup):
    score = sources.read_piece(PieceRef(work, "music21", work))
    assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert score.meters.tolist() == [(0, *meter)]
    assert score.keys.tolist() == [(0, *key)]
    assert score.pickup_tick == pickup
    assert score.tempi.tolist() == [(0, 750_000)]


def test_a_work_that_is_there_twice_is_read_once():
    assert datasets.music21_file("bach/bwv245.3").name == "bwv245.3.mxl"  # not 245.37
    assert datasets.music21_file("bach/bwv281").stem == "bwv281"
    assert len(sources.read_piece(PieceRef("bach/bwv281", "music21", "bach/bwv281")).tracks) == 4


REAL = {
    "jsb16": ([], {"train": 229, "valid": 76, "test": 77}),
    "nottingham": ([], {"": 1034}),
    "pop909": ([], {"": 909}),
    "JSB_Chorales": (["data.subset=JSB_Chorales"], {"train": 229, "valid": 76, "test": 77}),
    "MuseData": (["data.subset=MuseData"], {"train": 524, "valid": 135, "test": 124}),
    "Nottingham": ([], {"train": 694, "valid": 173, "test": 170}),
    "Piano_midi": (["data.subset=Piano_midi"], {"train": 87, "valid": 12, "test": 25}),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_data_set_has_its_published_number_of_pieces(name, data_dir, tmp_path):
    overrides, counts = REAL[name]
    group = name if name in ("jsb16", "nottingham", "pop909") else "polymusic"
    data = config.compose("train", [f"data={group}", f"data.cache={tmp_path}", *overrides]).config.data
    if not any((data_dir / group / file.name).is_file() for file in data.files):
        pytest.skip(f"{group} is not there")
    source = sources.find(data)
    assert Counter(ref.split for ref in source.pieces) == counts
    assert all(len(sources.read_piece(ref).notes) for ref in source.pieces[:3])


def test_the_real_jsb16_file_encodes_without_loss(data_dir):
    """Every token of the grid is one scored id."""
    file = data_dir / "jsb16" / NAMES["jsb16"]
    if not file.is_file():
        pytest.skip(f"{file.name} is not there")
    codec = codecs.build("chorale", strikes=False)
    grids = json.loads(file.read_text())
    for k, grid in enumerate(grids["valid"]):
        ids = codec.encode(sources.read_piece(PieceRef("", "jsb16", str(file), "valid", k)))
        codec.grammar.check(ids)
        assert codec.scored(ids).sum() == np.size(grid)
