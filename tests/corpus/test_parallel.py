"""The same corpus, byte for byte, whoever does the work."""

import operator
import os
import socket

import pytest

from lstmusic.corpus import parallel, sources, store
from lstmusic.errors import ConfigError, LstmusicError
from lstmusic.schema import ParallelConfig

DOUBLED = operator.methodcaller("__mul__", 2)


@pytest.fixture
def source(midi_folder, tmp_path):
    """Three shards of pieces, some of them damaged, some copies."""
    folder = midi_folder(36)
    for k in range(3):
        (folder / f"song {5 * k + 1}.mid").write_bytes(b"MThd" + bytes(k))
        (folder / f"song {20 + k}.mid").write_bytes((folder / "song 19.mid").read_bytes())
    return sources.folder(folder, tmp_path / "cache")


def content(corpus):
    """Every file of a corpus."""
    return {path.name: path.read_bytes() for path in corpus.folder.iterdir()}


@pytest.fixture
def alone(source, tmp_path):
    """The files of the corpus that this process makes without any other's help."""
    corpus = store.prepare(source, "performance", {}, cache=tmp_path / "alone", jobs=1)
    assert (corpus.manifest["files"], corpus.manifest["used"], corpus.manifest["shards"]) == (36, 30, 3)
    return content(corpus)


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_every_backend_makes_the_same_corpus(source, alone, tmp_path, backend, monkeypatch):
    pytest.importorskip(parallel.PACKAGES[backend])
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    done = []
    corpus = store.prepare(
        source,
        "performance",
        {},
        cache=tmp_path / "cache",
        parallel=ParallelConfig(backend),
        jobs=2,
        on_progress=done.append,
    )
    assert content(corpus) == alone
    assert done[0] == 0 and sorted(done[1:]) == [4, 16, 16]


def test_results_come_as_they_are_made_and_an_end_ends_the_work(tmp_path):
    counted = []

    def count(item):
        counted.append(item)
        return item

    some = parallel.run(count, range(1000), ParallelConfig(), 1)
    assert next(some) == 0
    some.close()
    assert counted == [0]
    assert list(parallel.run(DOUBLED, [], ParallelConfig(), 2)) == []
    assert sorted(parallel.run(DOUBLED, [1, 2, 3], ParallelConfig(), 2)) == [2, 4, 6]


def test_a_process_that_is_killed_is_named():
    with pytest.raises(LstmusicError, match="killed while it worked"):
        list(parallel.run(os._exit, [9, 9], ParallelConfig(), 2))


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_missing_extra_says_how_to_get_it(monkeypatch, backend):
    monkeypatch.setattr(parallel, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"parallel.backend={backend}: .*pip install 'lstmusic\[{backend}\]'"):
        list(parallel.run(DOUBLED, [1, 2], ParallelConfig(backend), 2))


def test_an_address_without_a_cluster_is_named():
    pytest.importorskip("distributed")
    pytest.importorskip("dask").config.set({"distributed.comm.timeouts.connect": "0.2s"})
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
    with pytest.raises(ConfigError, match=f"parallel.address={address}: no Dask cluster"):
        list(parallel.run(DOUBLED, [1, 2], ParallelConfig("dask", address), 2))


def test_an_address_that_is_none_is_named(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigError, match=r"^parallel\.address=nonsense: no Ray cluster"):
        list(parallel.run(DOUBLED, [1, 2], ParallelConfig("ray", "nonsense"), 2))
