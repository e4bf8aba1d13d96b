"""Files that appear whole or not at all, also where nothing can be written."""

import errno
from pathlib import Path

import pytest

from lstmusic.errors import OutputError
from lstmusic.files import whole


def test_a_file_appears_at_the_end_and_its_part_is_gone(tmp_path):
    with whole(tmp_path / "a.txt") as beside:
        beside.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "new")]


def test_what_stood_there_stays_where_writing_fails(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(UnicodeEncodeError), whole(tmp_path / "a.txt") as beside:
        beside.write_text("half, then \ud800", encoding="utf-8")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_file_system_that_is_read_only_is_told_of_once(tmp_path, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)  # which says so of missing files, too
    monkeypatch.setattr(Path, "write_text", refuse)
    words = r"a\.txt: cannot be written \(Read-only file system\)$"
    with pytest.raises(OutputError, match=words), whole(tmp_path / "a.txt") as beside:
        beside.write_text("new")
