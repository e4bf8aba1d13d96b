"""`lstmusic generate` with `state.*`: a song stopped, gone on from in another process, and blended with another."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lstmusic.cli import main
from lstmusic.sampling.snapshot import Snapshot
from lstmusic.score import Score, midi

BARE = ("render.wav=false", "render.png=false", "render.page=false")


@pytest.fixture
def generate(steered_model, tmp_path, monkeypatch, report_of):
    """A function: generate into a folder of tmp_path, which is where it runs; its report, or with `code` nothing."""
    monkeypatch.chdir(tmp_path)

    def run(name, *overrides, code=0):
        places = (f"checkpoint={steered_model.name}", f"hydra.run.dir={name}")
        assert main(["generate", *places, *BARE, *overrides]) == code
        return report_of(tmp_path / name) if code == 0 else None

    return run


@pytest.fixture
def two_files(steered_model, phrase, tmp_path):
    """a.json and b.json: two pieces after two bars."""
    for seed, (file, name) in enumerate((("a.json", "dawn"), ("b.json", ""))):
        steered_model.snapshot(phrase(2, seed), 2, name).write(tmp_path / file)


def test_a_state_goes_on_in_another_process_with_the_same_bytes(generate, steered_model, tmp_path):
    how = ("seed=4", "length.cadence=false")
    report = generate("whole", "songs=1", "length.bars=3", "state.save=a.json", "state.bar=1", "state.name=first", *how)
    start = Snapshot.read("a.json")
    assert report["state"] == {"saved": "a.json", "name": "first", "bars": start.bars, "ids": len(start.ids)}
    again = ("state.load=a.json", "songs=2", f"length.bars={3 - start.bars}", *how)
    generate("here", *again)
    there = ("generate", f"checkpoint={steered_model.name}", "hydra.run.dir=there", *BARE, *again)
    done = subprocess.run([sys.executable, "-m", "lstmusic.cli", *there], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for song in ("song-001.mid", "song-002.mid"):
        assert (tmp_path / "here" / song).read_bytes() == (tmp_path / "there" / song).read_bytes()
    whole, first, second = (
        Score.read(tmp_path / file).notes.tolist()
        for file in ("whole/song-001.mid", "there/song-001.mid", "there/song-002.mid")
    )
    assert first == whole  # which was never stopped
    assert second != whole


def test_two_states_and_a_share_between_them(generate, two_files, capsys):
    report = generate("half", "state.load=a.json,b.json", "state.blend=0.25", "songs=2", "length.bars=1")
    assert [song["start"]["name"] for song in report["songs"]] == ["0.25 of the way from dawn to b"] * 2
    out = capsys.readouterr().out
    assert "asked: length.bars=1 state.load=a.json,b.json state.blend=0.25" in out
    assert out.count("goes on from 0.25 of the way from dawn to b") == 2
    usual = generate("usual", "state.load=a.json,b.json", "songs=1", "length.bars=1")
    assert usual["songs"][0]["start"]["name"] == "0.5 of the way from dawn to b"


def test_a_morph_is_one_song_for_each_share_and_nothing_else_differs(generate, two_files, tmp_path):
    shares = "[0,0.5,1]"
    how = ("length.bars=1", "seed=9")
    report = generate("morph", "state.load=a.json,b.json", f"state.blend={shares}", "songs=3", *how, "render.page=true")
    assert [song["start"]["name"] for song in report["songs"]] == ["dawn", "0.5 of the way from dawn to b", "b"]
    assert [song["number"] for song in report["songs"]] == [1, 1, 1]
    assert "goes on from 0.5 of the way from dawn to b" in (tmp_path / "morph" / "index.html").read_text()
    generate("one", "state.load=a.json", "songs=1", *how)
    generate("other", "state.load=b.json", "songs=1", *how)
    for single, song in (("one", "song-001.mid"), ("other", "song-003.mid")):
        alone, morph = (Score.read(tmp_path / file).notes for file in (f"{single}/song-001.mid", f"morph/{song}"))
        assert alone.tolist() == morph.tolist()


def test_variations_of_a_piece_from_a_bar_on(generate, phrase, tmp_path):
    piece = phrase(3)
    midi.write(piece, tmp_path / "piece.mid")
    generate("stop", "primer=piece.mid", "songs=1", "length.bars=1", "state.save=a.json", "state.bar=2")
    assert Snapshot.read("a.json").bars == 2
    report = generate("on", "state.load=a.json", "songs=3", "length.bars=1", "seed=3", "primer_in_output=false")
    assert [song["bars"] for song in report["songs"]] == [1, 1, 1]
    assert len({str(Score.read(tmp_path / "on" / song["files"]["mid"]).notes) for song in report["songs"]}) == 3


def test_bars_are_told_as_they_were_asked_for(generate, phrase, capsys):
    piece = phrase(3)
    midi.write(replace(piece, pickup_tick=piece.ticks_per_quarter), "piece.mid")
    generate("stop", "primer=piece.mid", "songs=1", "length.bars=1", "state.save=a.json", "state.bar=2")
    assert Snapshot.read("a.json").bars == 2.25  # an upbeat of one quarter before them
    assert "a.json  song 1 after 2 bars\n" in capsys.readouterr().out


def test_a_song_from_a_state_is_made_again(generate, two_files, tmp_path, capsys):
    generate("half", "state.load=a.json,b.json", "songs=1", "length.bars=1")
    song = tmp_path / "half" / "song-001.mid"
    (tmp_path / "a.json").unlink()  # the song itself holds what it needs
    assert main(["reproduce", f"song={song}", "hydra.run.dir=again"]) == 0
    assert "state.load=0.5 of the way from dawn to b" in capsys.readouterr().out


REFUSED = {
    "state.save=a.json": "state.save=a.json: exists already, expected a name for a new file",
    "state.save=nowhere/c.json": "state.save=nowhere/c.json: there is no folder",
    "state.bar=2": "state.bar=2: expected state.save, too",
    "state.name=dusk": "state.name=dusk: expected state.save, too",
    'state.save=c.json state.name="a\x1bb"': r"state.name='a\x1bb': expected text without control characters",
    "state.save=c.json state.bar=0": "state.bar=0: expected at least 1",
    "state.save=c.json state.bar=9 length.bars=2": "state.bar=9: expected at most length.bars=2",
    "state.load=nowhere.json": "state.load=nowhere.json: no such file",
    "state.load=a.json,b.json,a.json": "expected one file, or two with a comma between them",
    "state.load=a.json,": "expected one file, or two with a comma between them",
    "state.load=[a.json,b.json]": "state.load=['a.json', 'b.json']: expected text, without brackets",
    "state.load=torn.json": "state.load=torn.json: its state is damaged",
    "state.load=other.json": "state.load=other.json: taken with the model ",
    "state.load=a.json state.blend=0.5": "state.blend=0.5: expected two files, state.load=a.json,b.json",
    "state.blend=0.5": "state.blend=0.5: expected two files",
    "state.load=a.json,b.json state.blend=1.5": "state.blend=1.5: expected a share of 0 to 1",
    "state.load=a.json,b.json state.blend=half": "state.blend=half: expected a share of 0 to 1",
    "state.load=a.json,b.json state.blend=[]": "state.blend=[]: expected a share of 0 to 1, or one for each song",
    "state.load=a.json,b.json state.blend=[0,2]": "state.blend=[0, 2]: expected a share of 0 to 1",
    "state.load=a.json,b.json state.blend=[0,1] songs=3": "songs=3: expected 2, one for each of state.blend=[0, 1]",
    "state.load=a.json primer=a.mid": "primer=a.mid: came with state.load=a.json, expected one of them",
    "state.load=a.json infill.piece=a.mid infill.bars=[1,2]": "infill.piece=a.mid: came with state.load=a.json",
    "infill.piece=a.mid infill.bars=[1,1] state.save=c.json state.bar=3": "state.bar=3: expected 1 to 2, as many as there",
}


def test_what_cannot_be_is_refused_before_any_work(generate, two_files, phrase, tmp_path, capsys):
    values = json.loads((tmp_path / "a.json").read_text())
    torn = values | {"state": values["state"] | {"sha256": "0" * 64}}
    for name, changed in (("torn", torn), ("other", values | {"model_sha256": "0" * 64})):
        (tmp_path / f"{name}.json").write_text(json.dumps(changed))
    before = (tmp_path / "a.json").read_bytes()
    midi.write(phrase(2), tmp_path / "a.mid")
    for overrides, words in REFUSED.items():
        generate("refused", *overrides.split(" "), code=2)
        error = capsys.readouterr().err
        assert words in error, overrides
        assert error.count("\n") == 1
        assert not (tmp_path / "refused").exists()
    assert (tmp_path / "a.json").read_bytes() == before


def test_a_bar_that_a_song_does_not_reach_costs_no_song(generate, phrase, tmp_path, capsys, report_of):
    midi.write(phrase(2), tmp_path / "piece.mid")
    generate("here", "primer=piece.mid", "songs=1", "length.bars=1", "state.save=a.json", "state.bar=4", code=2)
    assert "state.bar=4: expected 1 to 3, as many as there are, or none for the end" in capsys.readouterr().err
    report = report_of(tmp_path / "here")
    assert "state.bar=4" in report["state"]["refused"]
    assert (tmp_path / "here" / report["songs"][0]["files"]["mid"]).exists()
    assert not (tmp_path / "a.json").exists()
