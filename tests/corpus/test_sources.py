"""Where pieces come from by name, and the one way to read them."""

import os
import pickle

import pytest

from lstmusic.corpus import sources
from lstmusic.corpus.members import Member
from lstmusic.corpus.sources import PieceRef
from lstmusic.errors import ConfigError, ReadError
from lstmusic.schema import DataConfig, DataFile
from lstmusic.score.remarks import Remarks

TUNES = "X:1\nT:one\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:2\nT:two\nM:4/4\nL:1/4\nK:G\nGABc|de|\n"


def test_find_names_its_choices(tmp_path):
    with pytest.raises(ConfigError, match="data=nowhere: expected one of bach, folder, folk, jsb16, maestro"):
        sources.find(DataConfig("nowhere"))
    with pytest.raises(ConfigError, match=r"data\.path: missing, expected a folder"):
        sources.find(DataConfig("folder"))


def test_find_reads_a_folder(midi_folder, tmp_path):
    source = sources.find(DataConfig("folder", path=str(midi_folder(2)), cache=str(tmp_path)))
    assert [len(sources.read_piece(ref).notes) for ref in source.pieces] == [32, 32]


def test_a_reference_is_small_enough_to_send():
    ref = PieceRef("a/b.mid", "midi", "/music/songs.zip", member=Member(10**9, 5000, 9000, True, 7))
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert len(pickle.dumps(ref)) < 250


def test_what_cannot_be_read_says_why():
    with pytest.raises(ReadError, match=r"^x\.mid: a folder, expected a file$"):
        sources.read_piece(PieceRef("x.mid", "", "", reason="a folder, expected a file"))


def test_messages_are_one_line_of_valid_text_whatever_a_file_is_called(tmp_path):
    for name, content in {b"\xff\xfe.mid": b"<html>", b"new\nline.musicxml": b"<html>"}.items():
        file = os.path.join(os.fsencode(tmp_path), name)
        with open(file, "wb") as out:
            out.write(content)
    for ref in sources.folder(tmp_path).pieces:
        with pytest.raises(ReadError) as error:
            sources.read_piece(ref)
        assert ref.name in str(error.value)
        assert "\n" not in str(error.value).encode("utf-8").decode()


def test_each_tune_of_an_abc_file_is_a_piece(tmp_path):
    (tmp_path / "two.abc").write_text(TUNES)
    (tmp_path / "latin.abc").write_bytes("X:1\nT:Älgen\nM:4/4\nL:1/4\nK:C\nCDE|\n".encode("latin-1"))
    source = sources.folder(tmp_path)
    assert [(ref.name, ref.kind, ref.number) for ref in source.pieces] == [
        ("latin.abc", "abc", 0),
        ("two.abc#1", "abc", 0),
        ("two.abc#2", "abc", 1),
    ]
    scores = [sources.read_piece(ref) for ref in source.pieces]
    assert [score.notes["pitch"].tolist() for score in scores] == [
        [60, 62, 64],
        [60, 62, 64, 65],
        [67, 69, 71, 72, 74, 76],
    ]


def test_remarks_are_passed_on(tmp_path):
    (tmp_path / "again.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\n|:CDEF:|\n")
    remarks = Remarks()
    sources.read_piece(sources.folder(tmp_path).pieces[0], remarks)
    assert remarks.losses["repeat signs left out"] == 2


def test_what_is_missing_is_told_without_a_download(tmp_path, monkeypatch):
    monkeypatch.delenv("LSTMUSIC_DATA_DIR", raising=False)
    files = [DataFile("set.zip", "0" * 64, "https://localhost:1/set.zip")]
    here = {"files": files, "downloads": str(tmp_path / "downloads")}
    assert sources.missing(DataConfig("bach")) is None
    assert sources.missing(DataConfig("folder", path=str(tmp_path))) is None
    assert (
        sources.missing(DataConfig("folder", path=str(tmp_path / "gone"))) == f"data.path={tmp_path}/gone is not there"
    )
    assert "lstmusic prepare data=pop909" in sources.missing(DataConfig("pop909", **here))
    assert sources.missing(DataConfig("polymusic", subset="JSB_Chorales", **here)) is not None
    place = tmp_path / "downloads" / "pop909" / "set.zip"
    place.parent.mkdir(parents=True)
    place.touch()
    assert sources.missing(DataConfig("pop909", **here)) is None
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "downloads"))
    assert sources.missing(DataConfig("pop909", files=files, downloads="nowhere")) is None
