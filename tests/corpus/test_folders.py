"""A person's own music: whatever is called like music is a piece, or a word about why it is none."""

import io
import os
import tarfile
import zipfile

import pytest

from lstmusic.corpus import folders, sources
from lstmusic.errors import ConfigError, EmptyCorpusError, MissingFileError, ReadError
from lstmusic.score import notation_writer

ABC = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n"


def reasons(source):
    return {ref.name: ref.reason for ref in source.pieces if ref.reason}


def used(source):
    return [ref.name for ref in source.pieces if not ref.reason]


def test_a_folder_gives_its_music_files_in_order(midi_folder):
    folder = midi_folder(3)
    (folder / "tune.abc").write_text(ABC)
    (folder / "notes.txt").write_text("no music")
    source = folders.folder(folder)
    assert [(ref.name, ref.kind) for ref in source.pieces] == [
        ("inner/song 0.mid", "midi"),
        ("song 1.mid", "midi"),
        ("song 2.mid", "midi"),
        ("tune.abc", "abc"),
    ]
    assert [len(sources.read_piece(ref).notes) for ref in source.pieces] == [32, 32, 32, 4]


def test_files_of_other_kinds_are_counted_and_change_nothing(midi_folder):
    folder = midi_folder(2)
    before = folders.folder(folder)
    for name in ("a.txt", "inner/b.TXT", "README", ".hidden", "c.pdf"):
        (folder / name).write_text("no music")
    (folder / "d.txt").mkdir()
    (folder / "e.txt").symlink_to(folder / "nowhere")
    assert not before.others
    source = folders.folder(folder)
    assert source.others == {".txt": 2, ".pdf": 1, "without a suffix": 2}
    assert source._replace(others=before.others) == before


def test_karaoke_is_midi(midi_folder):
    folder = midi_folder(1)
    (folder / "inner" / "song 0.mid").rename(folder / "song.kar")
    (ref,) = folders.folder(folder).pieces
    assert (ref.kind, len(sources.read_piece(ref).notes)) == ("midi", 32)


def test_the_fingerprint_follows_names_and_bytes(midi_folder):
    folder = midi_folder(2)
    first = folders.folder(folder).fingerprint
    assert folders.folder(folder).fingerprint == first
    (folder / "song 1.mid").rename(folder / "song 7.mid")
    renamed = folders.folder(folder).fingerprint
    (folder / "song 7.mid").write_bytes(b"other")
    assert len({first, renamed, folders.folder(folder).fingerprint}) == 3


def test_a_place_that_is_missing_or_holds_no_music_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"data\.path=.*nowhere: no such folder"):
        folders.folder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no music")
    with pytest.raises(EmptyCorpusError, match=r"data\.path=.*: no file ends in \.mid, \.midi, \.kar, \.mxl"):
        folders.folder(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.path=.*notes\.txt: expected a folder, or a file that ends in \.mid"):
        folders.folder(tmp_path / "notes.txt")


def test_one_file_is_a_corpus(midi_folder):
    source = folders.folder(midi_folder(1) / "inner" / "song 0.mid")
    assert [ref.name for ref in source.pieces] == ["song 0.mid"]
    assert len(sources.read_piece(source.pieces[0]).notes) == 32


def test_planted_trouble_is_named_and_the_rest_is_used(midi_folder, tmp_path):
    folder = midi_folder(2)
    (folder / "x.mid").mkdir()
    (folder / "x.mid" / "inside.mid").write_bytes((folder / "song 1.mid").read_bytes())
    (folder / "loop").symlink_to(folder)
    (folder / "self.mid").symlink_to(folder / "self.mid")
    (folder / "broken.mid").symlink_to(tmp_path / "nowhere.mid")
    os.mkfifo(folder / "pipe.mid")
    (folder / "._song 1.mid").write_bytes(b"Mac OS X")
    (folder / "🎵 song.mid").write_bytes((folder / "song 1.mid").read_bytes())
    source = folders.folder(folder)
    assert used(source) == ["inner/song 0.mid", "song 1.mid", "x.mid/inside.mid", "🎵 song.mid"]
    assert reasons(source) == {
        "._song 1.mid": "a macOS resource fork, not music",
        "broken.mid": "No such file or directory, expected a file",
        "loop": "a link to a folder that is read already",
        "pipe.mid": "not a regular file",
        "self.mid": "Too many levels of symbolic links, expected a file",
        "x.mid": "a folder, expected a file",
    }


def test_a_linked_folder_is_read_once_under_its_own_name(midi_folder, tmp_path):
    music = midi_folder(2)
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "a link").symlink_to(music)
    (tmp_path / "all" / "b link").symlink_to(music)
    source = folders.folder(tmp_path / "all")
    assert len(used(source)) == 2
    assert list(reasons(source).values()) == ["a link to a folder that is read already"]
    (music / "to itself").symlink_to(music / "inner")
    assert used(folders.folder(music)) == ["inner/song 0.mid", "song 1.mid"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(midi_folder):
    folder = midi_folder(2)
    (folder / "song 1.mid").chmod(0)
    (folder / "inner").chmod(0)
    try:
        source = folders.folder(folder)
    finally:
        (folder / "inner").chmod(0o700)
    assert reasons(source) == {
        "inner": "Permission denied, expected a folder that can be read",
        "song 1.mid": "Permission denied, expected a file that can be read",
    }


def test_a_file_that_is_refused_is_named(midi_folder, monkeypatch):
    """The same for root, whom no permission stops."""
    folder = midi_folder(2)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders, "file_sha256", refuse)
    assert set(reasons(folders.folder(folder)).values()) == {"Permission denied, expected a file that can be read"}


def test_names_that_are_not_utf8_can_be_shown_and_stay_apart(midi_folder):
    folder = midi_folder(1)
    music = (folder / "inner" / "song 0.mid").read_bytes()
    for name in (b"\xff.mid", b"\\xff.mid", b"a\tb.mid"):
        with open(os.path.join(os.fsencode(folder), name), "wb") as out:
            out.write(music)
    source = folders.folder(folder)
    assert sorted(ref.name for ref in source.pieces) == [
        "\\xff.mid",
        "\\xff.mid (2)",
        "a\\tb.mid",
        "inner/song 0.mid",
    ]
    for ref in source.pieces:
        ref.name.encode("utf-8")
        assert len(sources.read_piece(ref).notes) == 32


def test_archives_among_files_are_read_in_place(midi_folder, phrase, tmp_path):
    folder = midi_folder(1)
    music = (folder / "inner" / "song 0.mid").read_bytes()
    notation_writer.write_musicxml(phrase(), tmp_path / "score.musicxml")
    with zipfile.ZipFile(folder / "songs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/a.mid", music)
        archive.writestr("tunes.abc", ABC + "\nX:2\nM:4/4\nL:1/4\nK:C\nGG|\n")
        archive.write(tmp_path / "score.musicxml", "score.musicxml")
        archive.writestr("page.musicxml", "<html>")
        archive.writestr("__MACOSX/deep/._a.mid", b"Mac OS X")
        archive.writestr("inner.zip", b"PK")
        archive.writestr("readme.txt", "no music")
    with tarfile.open(folder / "more.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("b.mid")
        info.size = len(music)
        tar.addfile(info, io.BytesIO(music))
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.writestr("a.jpg", b"")
    source = folders.folder(folder, tmp_path / "cache")
    assert used(source) == [
        "inner/song 0.mid",
        "more.tar.gz/b.mid",
        "songs.zip/deep/a.mid",
        "songs.zip/page.musicxml",
        "songs.zip/score.musicxml",
        "songs.zip/tunes.abc#1",
        "songs.zip/tunes.abc#2",
    ]
    assert reasons(source) == {
        "photos.zip": "no file in it ends in .mid, .midi, .kar, .mxl, .musicxml, .xml, .abc, .krn",
        "songs.zip/__MACOSX/deep/._a.mid": "a macOS resource fork, not music",
        "songs.zip/inner.zip": "an archive inside an archive, expected music",
    }
    good = [ref for ref in source.pieces if not ref.reason and "page" not in ref.name]
    assert [len(sources.read_piece(ref).notes) for ref in good] == [32, 32, 32, 32, 4, 2]
    page = next(ref for ref in source.pieces if "page" in ref.name)
    with pytest.raises(ReadError, match=r"^songs\.zip/page\.musicxml: "):
        sources.read_piece(page)


def test_an_archive_alone_is_a_corpus_with_its_own_names(midi_folder, tmp_path):
    music = (midi_folder(1) / "inner" / "song 0.mid").read_bytes()
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.mid", music)
            if name == "two.zip":
                archive.writestr("b.mid", music)
    one, two = (folders.folder(tmp_path / name, tmp_path) for name in ("one.zip", "two.zip"))
    assert [ref.name for ref in one.pieces] == ["a.mid"]
    assert [ref.name for ref in two.pieces] == ["a.mid", "b.mid"]
    assert one.fingerprint != two.fingerprint
