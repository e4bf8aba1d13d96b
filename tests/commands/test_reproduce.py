"""`lstmusic reproduce`: the same bytes again, or in words what differs."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lstmusic.cli import main
from lstmusic.events import codec as codecs
from lstmusic.score import Score, midi
from lstmusic.training import checkpoint

BARE = ("render.wav=false", "render.png=false", "render.page=false")
SIZES = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}


@pytest.fixture
def model(tmp_path):
    """A folder with an untrained model of chorales."""
    return save_model(tmp_path / "model")


def save_model(place):
    codec = codecs.build("chorale")
    network = checkpoint.build_model(codec, SIZES)
    checkpoint.save(place, network, codec, sizes=SIZES, facts={}, split={}, card="A card.\n")
    return place


@pytest.fixture
def generate(model, tmp_path):
    """A function: generate into tmp_path/songs; that folder."""

    def run(*overrides):
        folder = tmp_path / "songs"
        places = (f"checkpoint={model}", f"hydra.run.dir={folder}")
        assert main(["generate", *places, "length.bars=1", *BARE, *overrides]) == 0
        return folder

    return run


@pytest.fixture
def reproduce(tmp_path, report_of, capsys):
    """A function: reproduce into tmp_path/again; what was printed, and the report."""

    def run(song, *overrides, code=0):
        capsys.readouterr()
        folder = tmp_path / "again"
        assert main(["reproduce", f"song={song}", f"hydra.run.dir={folder}", *overrides]) == code
        return capsys.readouterr().out, report_of(folder)

    return run


def test_the_same_bytes(generate, reproduce, model, tmp_path):
    song = generate("songs=3", "seed=9", "temperature=[[0,0.8],[1,1.2]]", "control.key=F# minor") / "song-002.mid"
    out, report = reproduce(song)
    assert (tmp_path / "again" / "song-002.mid").read_bytes() == song.read_bytes()
    assert f"{song}  seed 9, song 2: the same {song.stat().st_size} bytes" in out
    assert f"checkpoint={model}" in out
    assert "temperature=[[0.0, 0.8], [1.0, 1.2]]  length.bars=1.0  control.key=F# minor" in out
    (row,) = report["songs"]
    assert row["same"] is True
    assert row["differences"] == []
    assert row["provenance"]["seed"] == 9


def test_every_song_of_a_folder(generate, reproduce, tmp_path):
    folder = generate("songs=17", "seed=4")  # more than one block of rows
    for number in range(2, 16):
        (folder / f"song-{number:03d}.mid").unlink()
    out, report = reproduce(folder)
    assert [row["same"] for row in report["songs"]] == [True] * 3
    assert "3 of 3 songs have the same bytes" in out
    assert out.count("made with: torch") == 1  # what they have in common is told once
    for path in folder.glob("*.mid"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_another_process(generate, tmp_path, environment):
    song = generate("songs=2") / "song-002.mid"
    command = [sys.executable, "-m", "lstmusic.cli", "reproduce", f"song={song}", f"hydra.run.dir={tmp_path}/there"]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert f"the same {song.stat().st_size} bytes" in done.stdout
    assert (tmp_path / "there" / "song-002.mid").read_bytes() == song.read_bytes()


def test_the_primer_file_is_not_needed(generate, reproduce, music, tmp_path):
    primer = shutil.copy(music / "piece-0.mid", tmp_path / "primer.mid")
    folder = generate("songs=1", f"primer={primer}", "primer_in_output=false")
    primer.unlink()
    _, report = reproduce(folder / "song-001.mid")
    assert report["different"] == 0


def edit(song):
    """Raise the last note's velocity by one; the provenance stays."""
    score = Score.read(song)
    notes = score.notes.copy()
    notes["velocity"][-1] += 1
    midi.write(replace(score, notes=notes), song)


def test_a_changed_note_is_found(generate, reproduce, refused, tmp_path):
    song = generate("songs=1") / "song-001.mid"
    edit(song)
    out, report = reproduce(song, code=1)
    (words,) = report["songs"][0]["differences"]
    assert words.startswith("the music in it differs from what it says it was made by, first at bar ")
    assert "velocity 81 (Bass), not " in words
    assert words in out
    line = refused("reproduce", f"song={song}", f"hydra.run.dir={tmp_path}/second", code=1)
    assert line == f"lstmusic: song={song}: {words}"


def test_one_of_several_that_differs(generate, refused, tmp_path, report_of):
    folder = generate("songs=3")
    edit(folder / "song-002.mid")
    line = refused("reproduce", f"song={folder}", f"hydra.run.dir={tmp_path}/again", code=1)
    assert line.startswith(f"lstmusic: song={folder}/song-002.mid: the music in it differs")
    assert line.endswith("(1 of 3 songs differ)")
    assert [row["same"] for row in report_of(tmp_path / "again")["songs"]] == [True, False, True]


def test_a_file_that_another_program_wrote_anew(generate, reproduce):
    song = generate("songs=1") / "song-001.mid"
    score = Score.read(song)
    midi.write(replace(score, texts=(*score.texts, (0, "saved by hand"))), song)
    _, report = reproduce(song, code=1)
    assert report["songs"][0]["differences"] == [
        "its music is the same; another program wrote the file, or a text in it was changed"
    ]


def test_a_model_that_moved(generate, reproduce, refused, model, tmp_path):
    song = generate("songs=1") / "song-001.mid"
    model.rename(tmp_path / "moved")
    line = refused("reproduce", f"song={song}", f"hydra.run.dir={tmp_path}/again")
    assert line.startswith(f"lstmusic: song={song}: checkpoint={model}: expected a bundled model")
    assert line.endswith("; where its model lies now is for checkpoint= to say")
    assert not (tmp_path / "again").exists()
    _, report = reproduce(song, f"checkpoint={tmp_path}/moved")
    assert report["different"] == 0


def test_another_model_in_its_place(generate, refused, model, tmp_path):
    song = generate("songs=1") / "song-001.mid"
    facts = json.loads(Score.read(song).texts[0][1])
    shutil.rmtree(model)
    save_model(model)
    line = refused("reproduce", f"song={song}", f"hydra.run.dir={tmp_path}/again")
    assert line.startswith(f"lstmusic: song={song}: checkpoint={model}: sha256 of its weights ")
    assert f"expected {facts['model_sha256'][:12]}…, which wrote the song; " in line
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-9], "its provenance is torn"),
        (lambda text: text.replace('"top_k"', '"warmth"'), "sampling.warmth is not known here"),
        (lambda text: "by hand", "no provenance of lstmusic in it"),
    ],
)
def test_a_provenance_that_cannot_be_followed(generate, refused, tmp_path, change, words):
    song = generate("songs=1") / "song-001.mid"
    score = Score.read(song)
    midi.write(replace(score, texts=((0, change(score.texts[0][1])),)), song)
    line = refused("reproduce", f"song={song}", f"hydra.run.dir={tmp_path}/again")
    assert line.startswith(f"lstmusic: song={song}: ")
    assert words in line
    assert not (tmp_path / "again").exists()


def test_no_song_at_all(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = "expected a MIDI file that lstmusic generate wrote"
    assert refused("reproduce") == f"lstmusic: song=: {wanted}, or a folder of them"
    assert refused("reproduce", "song=nowhere.mid") == f"lstmusic: song=nowhere.mid: no such file, {wanted}"
    (tmp_path / "empty").mkdir()
    assert "song=empty: no MIDI file in this folder" in refused("reproduce", "song=empty")
    np.save(tmp_path / "array.npy", np.zeros(3))
    assert "array.npy: suffix '.npy', expected one of .mid" in refused("reproduce", "song=array.npy")
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "array.npy"}
