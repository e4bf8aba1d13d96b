"""Archives of every kind, whole and torn, honest and made to harm: what can be read is, the rest is named."""

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import tracemalloc
import warnings
import zipfile

import pytest

from lstmusic.corpus import archives, members
from lstmusic.corpus.downloads import file_sha256
from lstmusic.corpus.members import Member
from lstmusic.errors import OutputError, ReadError
from lstmusic.score.files import MAX_BYTES

WANTED = (".mid", ".abc")
FILES = {"a.mid": b"first", "deep/ä.mid": b"second " * 300, "readme.txt": b"no music", "c.MID": b""}
MUSIC = {name: data for name, data in FILES.items() if name != "readme.txt"}
PACKERS = {".tar": bytes, ".tar.gz": gzip.compress, ".tgz": gzip.compress, ".tar.xz": lzma.compress}
PACKERS |= {".txz": lzma.compress, ".tar.bz2": bz2.compress, ".tbz2": bz2.compress}


def tar_bytes(files, **options):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_bytes(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def listed(tmp_path):
    """A function: what an archive of these bytes and this name holds, as {name: bytes or reason}."""

    def entries(data, name):
        path = tmp_path / name
        path.write_bytes(data)
        place, found = archives.entries(path, file_sha256(path), WANTED, tmp_path / "unpacked")
        return [
            (entry.name, entry.reason if entry.member is None else archives.read(place, entry.member, entry.name))
            for entry in found
        ]

    return entries


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_tar_is_read_in_place(listed, suffix, tmp_path):
    data = PACKERS[suffix](tar_bytes(FILES))
    assert dict(listed(data, f"songs{suffix}")) == MUSIC
    assert dict(listed(data, f"songs{suffix}")) == MUSIC  # from what the first call wrote
    assert (tmp_path / "unpacked").exists() == (suffix != ".tar")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_in_place(listed, method):
    assert dict(listed(zip_bytes(FILES, method), "songs.ZIP")) == MUSIC


def test_which_files_are_archives():
    names = ("a.zip", "A.TAR.GZ", "b.mid.tar", "a.gz", "a.mid", "zip", "x.tgz")
    assert [archives.suffix(name) for name in names] == [".zip", ".tar.gz", ".tar", "", "", "", ".tgz"]


def test_members_of_any_length_are_whole(listed):
    rng = random.Random(0)
    files = {f"{size}.mid": rng.randbytes(size) for size in (0, 1, 511, 512, 513, 1024, 10240, 70_000)}
    for suffix, pack in PACKERS.items():
        assert dict(listed(pack(tar_bytes(files)), f"songs{suffix}")) == files
    assert dict(listed(zip_bytes(files), "songs.zip")) == files


def test_two_members_of_one_name_are_both_read(listed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile finds it odd too
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a.mid", b"one")
            archive.writestr("a.mid", b"two")
    assert listed(out.getvalue(), "songs.zip") == [("a.mid", b"one"), ("a.mid", b"two")]


def test_names_that_lead_elsewhere_are_only_names(listed, tmp_path):
    files = {"../../up.mid": b"up", "/etc/root.mid": b"root", "a\\b:c.mid": b"odd"}
    assert dict(listed(lzma.compress(tar_bytes(files)), "songs.tar.xz")) == files
    assert dict(listed(zip_bytes(files), "songs.zip")).keys() == files.keys()
    assert not list(tmp_path.parent.glob("up.mid"))
    assert {path.name for path in tmp_path.iterdir()} == {"songs.tar.xz", "songs.zip", "unpacked"}


def test_links_and_folders_in_a_tar_are_named(listed):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "s.mid"), (tarfile.LNKTYPE, "h.mid"), (tarfile.DIRTYPE, "d.mid")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo("last.mid"))
    assert listed(out.getvalue(), "songs.tar") == [
        ("s.mid", "a link to /etc/passwd, expected a file"),
        ("h.mid", "a link to /etc/passwd, expected a file"),
        ("d.mid", "a folder, expected a file"),
        ("last.mid", b""),
    ]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_of_a_torn_archive_what_is_before_the_tear_is_used(listed, suffix):
    files = {f"{k}.mid": random.Random(k).randbytes(3000) for k in range(6)}
    data = zip_bytes(files) if suffix == ".zip" else PACKERS[suffix](tar_bytes(files))
    most = 0
    for stop in range(1, len(data) - 1, len(data) // 13):
        try:
            found = dict(listed(data[:stop], f"songs{suffix}"))
        except ReadError as error:  # the last member of a plain tar has its header and not all of its bytes
            assert suffix == ".tar" and "torn after" in str(error)
            continue
        tear = found.pop("", "")
        assert "torn or damaged" in tear or found == files  # a tar's last blocks are empty
        assert found.items() <= files.items()
        most = max(most, len(found))
    assert most >= (0 if suffix == ".tar.bz2" else 4)  # bzip2 packs blocks of 900 kB, of which this is one


class Pipe(io.RawIOBase):
    """What a zip is written to without going back: each member's length stands behind it, as Finder does it."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_a_zip_that_was_streamed_whole_and_torn(listed):
    pipe = Pipe()
    files = {f"{k}.mid": random.Random(k).randbytes(300) + bytes(1000) for k in range(4)}
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert dict(listed(pipe.data, "songs.zip")) == files
    for stop in range(1, len(pipe.data) - 1, 23):
        found = dict(listed(pipe.data[:stop], "songs.zip"))
        assert "torn or damaged" in found.pop("")
        assert found == dict(list(files.items())[: len(found)])
    assert len(found) == 4


@pytest.mark.parametrize("suffix", [".zip", *PACKERS])
def test_what_is_no_archive_is_named(listed, suffix):
    for data in (b"<html>not found</html>", b""):
        ((name, reason),) = listed(data, f"songs{suffix}")
        assert name == "" and reason.startswith("torn or damaged")


def test_a_flipped_byte_is_found(listed, tmp_path):
    data = bytearray(zip_bytes(FILES))
    start = data.index("deep/ä.mid".encode()) + 20
    data[start] ^= 0xFF
    with pytest.raises(ReadError, match=r"deep/ä\.mid: damaged inside its archive"):
        listed(bytes(data), "songs.zip")


def test_encrypted_members_are_named(listed):
    data = bytearray(zip_bytes({"a.mid": b"secret", "b.mid": b"secret"}))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + flags] |= 1
    assert listed(bytes(data), "songs.zip") == [
        ("a.mid", "encrypted, expected an archive without a password"),
        ("b.mid", b"secret"),
    ]


def test_other_ways_of_packing_are_named(listed):
    assert listed(zip_bytes({"a.mid": b"x"}, zipfile.ZIP_LZMA), "songs.zip") == [
        ("a.mid", "packed by method 14, expected deflate (8) or none (0)")
    ]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_a_member_that_is_too_large_is_named_and_never_unpacked(listed, suffix):
    bomb = {"bomb.mid": bytes(MAX_BYTES + 1), "a.mid": b"music"}
    data = zip_bytes(bomb) if suffix == ".zip" else PACKERS[suffix](tar_bytes(bomb))
    del bomb
    tracemalloc.start()
    found = listed(data, f"songs{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [("bomb.mid", "16777217 bytes, expected a music file of at most 16777216"), ("a.mid", b"music")]
    assert peak < 4 * 2**20


def test_a_member_that_lies_about_its_size_is_damaged(listed):
    data = bytearray(zip_bytes({"bomb.mid": bytes(10**6)}))
    for signature, size in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(signature) + size, 100)
    with pytest.raises(ReadError, match=r"bomb\.mid: damaged inside its archive \(not the 100 bytes"):
        listed(bytes(data), "songs.zip")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_archive_that_unpacks_without_end_is_left(listed, suffix, monkeypatch):
    monkeypatch.setattr(members, "ALWAYS_UNPACKED", 100_000)
    bombs = {f"{k}.mid": bytes(10**6) for k in range(20)}
    data = zip_bytes(bombs) if suffix == ".zip" else PACKERS[suffix](tar_bytes(bombs))
    found = listed(data, f"songs{suffix}")
    assert found[-1][0] == "" and "unpacks to more than 200 times its size" in found[-1][1]
    assert 1 < len(found) < 20


def test_a_file_shorter_than_it_was_is_torn(tmp_path):
    (tmp_path / "songs.tar").write_bytes(b"abc")
    with pytest.raises(ReadError, match=r"^x\.mid: torn after 2 bytes, expected 7"):
        archives.read(str(tmp_path / "songs.tar"), Member(1, 7, 7), "x.mid")


def test_a_header_may_not_claim_any_length(listed):
    """A long name of a gigabyte of zeros packs into a megabyte."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**30
    data = gzip.compress(tar_bytes({"a.mid": b"x"})[:1024] + info.tobuf() + bytes(2**20))
    assert listed(data, "songs.tar.gz") == [
        ("a.mid", b"x"),
        ("", "torn or damaged after a.mid (a header of 1073741824 bytes)"),
    ]


class Full(io.FileIO):
    """A file on a disk without room."""

    def write(self, data):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_no_fault_of_the_archive(listed, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "open", Full, raising=False)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        listed(gzip.compress(tar_bytes(FILES)), "songs.tar.gz")
    assert not list((tmp_path / "unpacked").iterdir())


def test_a_cache_that_cannot_be_written_is_named(listed, tmp_path):
    (tmp_path / "unpacked").write_text("a file")
    with pytest.raises(OutputError, match=r"unpacked: cannot be written \(File exists\)"):
        listed(gzip.compress(tar_bytes(FILES)), "songs.tar.gz")


def test_what_was_copied_and_thrown_away_is_copied_again(listed, tmp_path):
    data = gzip.compress(tar_bytes(FILES))
    listed(data, "songs.tar.gz")
    next((tmp_path / "unpacked").glob("*.bytes")).unlink()
    assert dict(listed(data, "songs.tar.gz")) == MUSIC


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2"])
def test_whatever_byte_is_wrong_the_listing_goes_on(tmp_path, suffix):
    rng = random.Random(suffix)
    files = {f"{k}.mid": rng.randbytes(50) + bytes(200) for k in range(3)}
    data = zip_bytes(files) if suffix == ".zip" else PACKERS[suffix](tar_bytes(files))
    path = tmp_path / f"songs{suffix}"
    outcomes = set()
    for _ in range(150):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(mutated)
        place, found = archives.entries(path, rng.randbytes(9).hex(), WANTED, tmp_path / "unpacked")
        for entry in found:
            try:
                outcomes.add(bool(entry.member) and bool(archives.read(place, entry.member, entry.name)))
            except ReadError:
                outcomes.add("damaged")
    assert {True, False} <= outcomes
