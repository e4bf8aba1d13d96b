"""Requests that are wrong: exit code 2 and one line that names the key or file, what came and what was expected."""

import mido
import numpy as np
import pytest
import torch

from lstmusic import music_model, writing
from lstmusic.sampling.sampler import Sampled

WRONG = {
    "command": (["generat"], "command=generat: expected one of", "did you mean generate?"),
    "key": (["generate", "song=3"], "'song'", "did you mean songs?"),
    "key in a group": (["train", "trainer.max_minute=1"], "'trainer.max_minute'", "did you mean trainer.max_minutes?"),
    "no value": (["generate", "songs"], "songs: expected key=value"),
    "type": (["generate", "songs=many"], "songs=many: expected integer"),
    "fraction": (["generate", "seed=1.5"], "seed=1.5: expected integer"),
    "list": (["generate", "seed=1,2"], "seed=1,2: expected integer"),
    "section": (["generate", "render=false"], "render=False: expected one of its keys: render.wav"),
    "negative temperature": (["generate", "temperature=-1"], "temperature=-1.0: expected a positive number"),
    "zero temperature": (["generate", "temperature=0"], "temperature=0.0: expected a positive number", "greedy=true"),
    "word for a temperature": (
        ["generate", "temperature=cold"],
        "temperature=cold: expected a number, auto, or a curve of bars and temperatures, [[0,0.8],[8,1.2]]",
    ),
    "no temperature": (["generate", "temperature="], "temperature=: expected a number, auto"),
    "truth for a temperature": (["generate", "temperature=true"], "temperature=True: expected a number, auto"),
    "curve without pairs": (
        ["generate", "temperature=[0,1]"],
        "temperature=[0, 1]: expected a number, auto, or a curve",
    ),
    "torn curve": (["generate", "temperature=[[0,1],[8"], "temperature=[[0,1],[8: expected a number, auto, or a curve"),
    "curve of nothing": (["generate", "temperature=[]"], "temperature=[]: expected a number, auto, or a curve"),
    "curve that falls": (["generate", "temperature=[[8,1],[0,1]]"], "temperature=[[8.0, 1.0], [0.0, 1.0]]", "rise"),
    "curve below zero": (["generate", "temperature=[[0,1],[8,-1]]"], "temperature=-1.0: expected a positive number"),
    "curve at no bar": (["generate", "temperature=[[nan,1]]"], "temperature=[[nan, 1]]: expected a number, auto, or"),
    "temperature of pitches": (
        ["generate", "sampling.pitch_temperature=0"],
        "sampling.pitch_temperature=0.0: expected a positive number",
    ),
    "key in music": (["generate", "control.key=H"], "control.key=H: expected a key such as C, a (A minor)"),
    "key in brackets": (["generate", "control.key=[0,2]"], "control.key=[0, 2]: expected text, without brackets"),
    "weight of no key": (["generate", "control.key_weight=2"], "control.key_weight=2.0: expected control.key with it"),
    "range of one": (["generate", "control.range=60"], "control.range=60: expected MIDI pitches, [48,84], or"),
    "range of words": (["generate", "control.range=[C4,C5]"], "control.range=['C4', 'C5']: expected MIDI pitches"),
    "range of fractions": (["generate", "control.range=[48.5,60]"], "control.range=[48.5, 60]: expected MIDI pitches"),
    "range of no voice": (["generate", "control.range={}"], "control.range={}: expected MIDI pitches"),
    "range that the shell cut": (
        ["generate", "control.range=Soprano:[60", "control.range=79]"],
        "control.range=79]: expected MIDI pitches, [48,84], or for some voices, in quotes, '{Soprano:[60,79]",
    ),
    "range upside down": (["generate", "control.range=[84,48]"], "control.range", "=[84, 48]: expected the lowest"),
    "range of a voice": (
        ["generate", "control.range={Alto:[50,200]}"],
        "control.range.Alto=[50, 200]: expected the lowest and the highest of MIDI's pitches 0 to 127",
    ),
    "no notes at a time": (["generate", "control.polyphony=0"], "control.polyphony=0: expected 1 or more"),
    "half a note at a time": (["generate", "control.polyphony=1.5"], "control.polyphony=1.5: expected integer"),
    "parallels": (["generate", "control.parallels=-1"], "control.parallels=-1.0: expected nats from 0"),
    "density": (["generate", "control.density=0"], "control.density=0.0: expected notes per bar, above 0"),
    "few pitch classes": (["generate", "control.pitch_classes=[1,2]"], "control.pitch_classes=[1.0, 2.0]: expected 12"),
    "pitch classes without brackets": (
        ["generate", "control.pitch_classes=1,2"],
        "control.pitch_classes=1,2: expected a list",
    ),
    "pitch class in words": (
        ["generate", "control.pitch_classes=[C]"],
        "control.pitch_classes[0]=C: expected a finite number",
    ),
    "guidance": (["generate", "control.guidance=-1"], "control.guidance=-1.0: expected 0 or more"),
    "repetition": (["generate", "repetition.least=2"], "repetition.least=2.0: expected 0 (off) to 1"),
    "cadence": (["generate", "length.cadence=7"], "length.cadence=7: expected true or false"),
    "weights": (["generate", "weights=int4"], "weights=int4: expected one of float32, float16, int8"),
    "controls": (["generate", "control=3"], "control=3: expected one of its keys: control.key, control.key_weight"),
    "top_p": (["generate", "sampling.top_p=2"], "sampling.top_p=2.0: expected 0 < top_p <= 1"),
    "songs": (["generate", "songs=0"], "songs=0: expected at least 1"),
    "candidates": (["generate", "candidates=3"], "candidates=3: expected at least songs=4, as these are kept"),
    "greedy candidates": (
        ["generate", "greedy=true", "candidates=4"],
        "greedy=true: every song is the same, came with candidates=4, expected one of them",
    ),
    "greedy and original": (
        ["generate", "greedy=true", "originality.max_bars=2.5"],
        "greedy=true: every song is the same, came with originality.max_bars=2.5, expected one of them",
    ),
    "endless bars": (["generate", "originality.max_bars=.inf"], "originality.max_bars=.inf: expected a finite number"),
    "infinite bars": (
        ["generate", "originality.max_bars=inf"],
        "originality.max_bars=inf: expected a finite number, at least 0",
    ),
    "shared bars": (["generate", "originality.max_bars=-1"], "originality.max_bars=-1.0: expected at least 0"),
    "bars": (["generate", "length.bars=-2"], "length.bars=-2.0: expected a positive number"),
    "choice": (["train", "model=lstn"], "model=lstn: expected one of", "did you mean lstm?"),
    "data": (["train", "data=foldr"], "data=foldr: expected one of", "did you mean folder?"),
    "encoding": (["train", "encoding=choral"], "encoding=choral: expected one of", "did you mean chorale?"),
    "no path": (["train", "data=folder"], "data.path: missing"),
    "no budget": (["train", "trainer.max_minutes=null"], "both empty"),
    "size": (["train", "model.hidden_size=0"], "model.hidden_size=0: expected at least 1"),
    "dropout": (["train", "model.dropout=1"], "model.dropout=1.0: expected 0 <= dropout < 1"),
    "accelerator": (["train", "trainer.accelerator=toaster"], "trainer.accelerator=toaster: expected one of auto, cpu"),
    "precision": (["train", "trainer.precision=7"], "trainer.precision=7: expected one of auto"),
    "path without folder": (["train", "data.path=x"], "data.path=x: belongs to data=folder, came with data=bach"),
    "endless song": (["generate", "length.bars=inf"], "length.bars=inf: expected a positive number, at most 10000"),
    "cell": (["train", "model.cell=lstn"], "model.cell=lstn: expected one of lstm, gru, rnn", "did you mean lstm?"),
    "split": (["evaluate", "split=validd"], "split=validd: expected one of", "did you mean valid?"),
    "port": (["listen", "port=70000"], "port=70000: expected 0 to 65535"),
    "checkpoint": (["generate", "checkpoint=nowhere"], "checkpoint=nowhere: expected a bundled model"),
    "primer": (["generate", "primer=nowhere.mid"], "primer=nowhere.mid: no such file, expected a MIDI"),
    "soundfont": (["generate", "render.soundfont=no.sf2"], "render.soundfont=no.sf2: no such file", ".sf2"),
    "resume": (["train", "resume=nowhere"], "resume=nowhere: no checkpoints/last.ckpt there"),
    "init_from": (["train", "init_from=nowhere"], "checkpoint=nowhere: expected a bundled model"),
    "far command": (["nope"], "command=nope: expected one of generate"),
    "truth": (["generate", "render.wav=7"], "render.wav=7: expected true or false"),
    "truth of an option": (
        ["prepare", "encoding=performance", "encoding.pedals=7"],
        "encoding.pedals=7: expected true or false",
    ),
    "option of another encoding": (
        ["train", "encoding=melody", "encoding.pedals=true"],
        "encoding.pedals=true: not a key of encoding melody, expected one of its own: encoding.conditions",
    ),
    "option of no encoding of a data set": (
        ["prepare", "data=folder", "encoding.grouped=true"],
        "encoding.grouped=true: not a key of encoding performance, expected one of its own: ",
        "encoding.pedals, encoding.conditions",
    ),
    "encoding of another model": (
        ["train", "model=frames", "encoding=melody"],
        "encoding=melody: came with a model of frames, expected frames",
    ),
    "model of another encoding": (
        ["train", "encoding=frames"],
        "encoding=frames: came with a model of ids, expected another one, or model=frames",
    ),
    "key of another model": (
        ["train", "model.output=joint"],
        "model.output=joint: not a key of model lstm, expected one of its own: model.cell",
    ),
    "frames": (
        ["train", "model=frames", "encoding.frames_per_quarter=5"],
        "encoding.frames_per_quarter=5: expected one of 1, 2, 3, 4, 6, 8, 12",
    ),
    "sweep over encodings": (
        ["train", "-m", "encoding=melody,performance", "encoding.pedals=true", "hydra.sweep.dir=."],
        "encoding.pedals=true: not a key of every encoding",
    ),
    "address": (
        ["prepare", "parallel.address=x"],
        "parallel.address=x: belongs to ray and dask, came with parallel.backend=loky",
    ),
    "empty group": (["train", "data="], "data=: expected one of bach"),
    "empty number": (["generate", "songs="], "songs=: expected integer"),
    "sweep": (["generate", "-m", "song=1,2"], "'song'", "did you mean songs?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_stops_before_any_work(case, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, *words = WRONG[case]
    line = refused(*arguments)
    assert all(word in line for word in words), line
    assert not list(tmp_path.iterdir())


def test_a_sweep_over_an_option_of_another_encoding(refused, tmp_path):
    sweep = ("encoding=melody", "encoding.pedals=true,false", f"hydra.sweep.dir={tmp_path}")
    assert "encoding.pedals=true,false: not a key of encoding melody" in refused("train", "-m", *sweep)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
def test_no_such_device(refused, music, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refused("train", "data=folder", f"data.path={music}", "trainer.accelerator=gpu")
    assert "trainer.accelerator=gpu: no such device here, expected cpu or auto" in line
    assert not list(tmp_path.iterdir())


def test_a_missing_folder(refused, tmp_path):
    line = refused("train", "data=folder", f"data.path={tmp_path}/music", f"hydra.run.dir={tmp_path}/run")
    assert f"data.path={tmp_path}/music: no such folder" in line


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "music").mkdir()
    line = refused("train", "data=folder", f"data.path={tmp_path}/music", f"hydra.run.dir={tmp_path}/run")
    assert "no file ends in .mid" in line


def test_a_folder_with_nothing_but_a_web_page(refused, tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "page.mid").write_text("<html>not found</html>")
    places = (f"data.path={tmp_path}/music", f"data.cache={tmp_path}/cache", f"hydra.run.dir={tmp_path}/run")
    line = refused("train", "data=folder", "jobs=1", *places)
    assert "no usable piece among 1 files: page.mid" in line
    assert "<html>" in line
    assert "expected b'MThd'" in line
    assert not [place for place in (tmp_path / "cache").iterdir() if place.is_dir()]


def test_primers_that_hold_no_music(refused, chorale_run, music, tmp_path):
    whole = (music / "piece-0.mid").read_bytes()
    (tmp_path / "torn.mid").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.mid").write_text("<html></html>")
    silent = mido.MidiFile()
    silent.tracks.append(mido.MidiTrack())
    silent.save(tmp_path / "silent.mid")
    expected = {"torn.mid": "torn in track", "page.mid": "expected b'MThd'", "silent.mid": "no notes"}
    for name, words in expected.items():
        line = refused(
            "generate", f"checkpoint={chorale_run}", f"primer={tmp_path / name}", f"hydra.run.dir={tmp_path}/o"
        )
        assert f"{name}: " in line
        assert words in line
    assert not (tmp_path / "o").exists()


def test_an_output_folder_that_cannot_be_made(refused, chorale_run, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        line = refused("generate", f"checkpoint={chorale_run}", f"hydra.run.dir={tmp_path}/{place}")
        assert f"{tmp_path}/{place}: cannot be written" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_folder_that_holds_files(refused, chorale_run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    line = refused("generate", f"checkpoint={chorale_run}", f"hydra.run.dir={tmp_path}")
    assert f"hydra.run.dir={tmp_path}: holds files already" in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_soundfont_that_is_none(refused, chorale_run, music, tmp_path):
    font = music / "piece-0.mid"
    line = refused("generate", f"checkpoint={chorale_run}", f"render.soundfont={font}", f"hydra.run.dir={tmp_path}/o")
    assert f"{font}: expected a SoundFont 2 file" in line
    assert not (tmp_path / "o").exists()


def test_songs_without_notes_are_no_success(refused, chorale_run, tmp_path, monkeypatch):
    def silence(model, grammar, generators, **_):
        rests = np.full(grammar.group_size, grammar.vocabulary.id("REST"))
        ids = np.concatenate([start, rests])
        return [Sampled(ids, np.zeros(len(rests))) for _ in generators]

    start = music_model.load(chorale_run).generate(1, length_bars=1)[0].ids[:8]  # the BOS group and the header
    monkeypatch.setattr(writing, "sample", silence)
    line = refused("generate", f"checkpoint={chorale_run}", "songs=2", f"hydra.run.dir={tmp_path}/o", code=1)
    assert "2 of 2 songs came out without new notes" in line
