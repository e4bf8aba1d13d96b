"""`lstmusic generate infill.piece=…`: a file of which some is written anew."""

from dataclasses import replace

import numpy as np
import pytest

from lstmusic.cli import main
from lstmusic.score import Score, Track, midi
from lstmusic.score.score import sorted_notes
from lstmusic.score.splice import inside

BARE = ("render.wav=false", "render.png=false")
BAR = 1920


@pytest.fixture
def rewrite(chorale_run, music, tmp_path, report_of):
    """A function: write a piece of the music folder anew; the folder and its report."""

    def run(*overrides):
        folder = tmp_path / "here"
        piece = f"infill.piece={music}/piece-0.mid"
        assert main(["generate", f"checkpoint={chorale_run}", piece, *BARE, f"hydra.run.dir={folder}", *overrides]) == 0
        return folder, report_of(folder)

    return run


def test_one_bar_of_a_file(rewrite, music, capsys):
    folder, report = rewrite("infill.bars=[2,2]", "songs=2", "infill.particles=3")
    piece = Score.read(music / "piece-0.mid")
    for row in report["songs"]:
        score = Score.read(folder / row["files"]["mid"])
        kept, now = (each.notes[~inside(each.notes, (BAR, 2 * BAR))] for each in (piece, score))
        assert np.array_equal(kept, now)
        assert row["infill"] | {"effective_particles": 0} == {
            "bars": [2, 2],
            "keep": [],
            "voices": {},
            "particles": 3,
            "effective_particles": 0,
            "removed_notes": 16,
            "trimmed_notes": 0,
        }
    out = capsys.readouterr().out
    assert f"asked: infill.piece={music}/piece-0.mid infill.bars=[2, 2] infill.particles=3" in out.splitlines()
    assert f"{report['songs'][0]['new_notes']} notes written for 16" in out
    assert "that of the piece" in (folder / "index.html").read_text()


def test_what_the_model_is_not_told_of_is_no_loss(rewrite, phrase, tmp_path, capsys):
    """Drums stay: the chorale encoding does not tell the model of them."""
    piece = phrase(4)
    drums = piece.notes[::16].copy()
    drums["track"] = len(piece.tracks)
    tracks = (*piece.tracks, Track(0, True, "kit"))
    notes = sorted_notes(np.concatenate([piece.notes, drums]))
    midi.write(replace(piece, notes=notes, tracks=tracks), tmp_path / "a.mid")
    _, report = rewrite("infill.bars=[2,2]", "songs=1", f"infill.piece={tmp_path}/a.mid")
    out = capsys.readouterr().out
    assert f"infill: the model was told of the piece with {len(drums)} drum notes left out" in out.splitlines()
    assert "primer" not in out
    assert report["songs"][0]["told_without"] == {"drum notes left out": len(drums)}


def test_a_soprano_is_harmonised_and_made_again(rewrite, music, tmp_path, report_of, capsys):
    folder, _ = rewrite("infill.keep=Soprano", "songs=1", "render.page=false")
    assert "infill: the track Soprano stays as Soprano" in capsys.readouterr().out.splitlines()
    piece, score = Score.read(music / "piece-0.mid"), Score.read(folder / "song-001.mid")
    assert np.array_equal(*(each.notes[each.notes["track"] == 0] for each in (piece, score)))
    assert main(["reproduce", f"song={folder}/song-001.mid", f"hydra.run.dir={tmp_path}/again"]) == 0
    assert (tmp_path / "again" / "song-001.mid").read_bytes() == (folder / "song-001.mid").read_bytes()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["infill.bars=[1,9]"], "infill.bars=[1, 9]: expected the first and the last of bars 1 to 3 of the piece"),
        (["infill.bars=2"], "infill.bars=2: expected the first and the last bar to write, [5,8]"),
        (
            ["infill.keep=Violin"],
            "infill.keep=Violin: there is no such voice, expected some of Soprano, Alto, Tenor, Bass",
        ),
        (["infill.bars=[1,2]", "infill.particles=0"], "infill.particles=0: expected 1 to 1024"),
        (["infill.bars=[1,2]", "length.bars=2"], "length.bars=2.0: came with infill.piece={piece}, expected one of"),
        (["infill.bars=[1,2]", "length.seconds=2"], "length.seconds=2.0: came with infill.piece={piece}, expected one"),
        (["infill.bars=[1,2]", "primer=a.mid"], "primer=a.mid: came with infill.piece={piece}, expected one of them"),
        (["infill.bars=[1,2]", "repetition.least=0.5"], "repetition.least=0.5: came with infill.piece={piece}, expec"),
        (["infill.bars=[1,2]", "infill.piece=no.mid"], "infill.piece=no.mid: no such file, expected a MIDI, MusicXML"),
        ([], "nothing would stay, expected infill.bars or infill.keep, too"),
    ],
)
def test_requests_that_are_wrong(asked, words, chorale_run, music, tmp_path, refused):
    line = refused(
        *("generate", f"checkpoint={chorale_run}", f"infill.piece={music}/piece-0.mid", *asked),
        f"hydra.run.dir={tmp_path}/here",
    )
    assert words.format(piece=f"{music}/piece-0.mid") in line
    assert not (tmp_path / "here").exists()


def test_files_that_are_not_there(chorale_run, tmp_path, refused):
    assert "infill.piece=" in refused("generate", f"checkpoint={chorale_run}", "infill.bars=[1,2]")
    here = f"hydra.run.dir={tmp_path}/here"
    line = refused("generate", f"checkpoint={chorale_run}", "infill.piece=nowhere.mid", "infill.bars=[1,2]", here)
    assert "nowhere.mid" in line
    assert not (tmp_path / "here").exists()
