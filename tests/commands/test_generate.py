"""`lstmusic generate`: songs, their files and report; seeds, primers, sweeps."""

import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import lstmusic
from lstmusic import config, music_model, writing
from lstmusic.cli import main
from lstmusic.commands.generate import arguments_of
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.sampler import Sampled
from lstmusic.sampling.settings import Repetition
from lstmusic.score import Score

BARE = ("render.wav=false", "render.png=false", "render.page=false")


@pytest.fixture
def generate(chorale_run, tmp_path, report_of):
    """A function: generate into a folder below tmp_path; that folder and its report."""

    def run(name, *overrides, checkpoint=chorale_run):
        folder = tmp_path / name
        assert main(["generate", f"checkpoint={checkpoint}", f"hydra.run.dir={folder}", *overrides]) == 0
        return folder, report_of(folder)

    return run


def notes_of(path):
    return Score.read(path).notes


@pytest.fixture(params=["chorale", "performance"])
def run_of_each_encoding(request):
    return request.getfixturevalue(f"{request.param}_run")


def test_what_it_leaves(generate):
    folder, report = generate("here", "songs=2", "length.bars=1", "temperature=0.8", "render.musicxml=true")
    assert report["command"] == "generate"
    assert report["asked"]["temperature"] == 0.8
    assert report["asked"]["length"] == {"bars": 1, "seconds": None, "cadence": True}
    assert report["tokens_per_second"] > 0
    assert len(report["songs"]) == 2
    for i, song in enumerate(report["songs"], 1):
        assert song["files"] == {kind: f"song-00{i}.{kind}" for kind in ("mid", "wav", "png", "musicxml")}
        assert song["illegal"] == 0
        assert song["notes"] == len(notes_of(folder / song["files"]["mid"])) > 0
        assert {"seed", "ids", "seconds", "bars", "nats_per_token", "wall_s"} <= set(song)
        sound, rate = soundfile.read(folder / song["files"]["wav"])
        assert len(sound) / rate >= song["seconds"]
        assert 0.01 < abs(sound).max() <= 1
        page = (folder / "index.html").read_text()
        assert song["files"]["wav"] in page
    expected = {"report.json", "config.yaml", "overrides.yaml", "index.html"}
    assert {path.name for path in folder.iterdir()} == expected | {
        f for s in report["songs"] for f in s["files"].values()
    }


def test_the_song_says_where_it_comes_from(generate):
    folder, report = generate("here", "songs=1", "length.bars=1", "seed=5", *BARE)
    texts = [text for _, text in Score.read(folder / "song-001.mid").texts if text.startswith("{")]
    provenance = json.loads(texts[0])
    assert provenance["seed"] == 5
    assert provenance["sampling"]["temperature"] == 1.0
    assert provenance["model_sha256"] == report["model_sha256"]
    assert provenance["lstmusic"] == lstmusic.__version__


def test_same_seed_same_bytes_in_another_process(generate, chorale_run, tmp_path, environment):
    folder, _ = generate("here", "songs=2", "length.bars=2", "seed=7", "render.png=false", "render.page=false")
    command = [
        sys.executable,
        "-m",
        "lstmusic.cli",
        "generate",
        f"checkpoint={chorale_run}",
        "songs=2",
        "length.bars=2",
    ]
    command += ["seed=7", "render.png=false", "render.page=false", f"hydra.run.dir={tmp_path}/there"]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    for name in ("song-001.mid", "song-002.mid", "song-001.wav"):
        assert (folder / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_other_seeds_and_other_songs_differ(generate):
    first, _ = generate("first", "songs=2", "length.bars=2", "seed=1", *BARE)
    second, _ = generate("second", "songs=2", "length.bars=2", "seed=2", *BARE)
    notes = [notes_of(folder / f"song-00{i}.mid").tobytes() for folder in (first, second) for i in (1, 2)]
    assert len(set(notes)) == 4


def test_a_song_does_not_depend_on_how_many_there_are(generate):
    few, _ = generate("few", "songs=1", "length.bars=1", *BARE)
    many, _ = generate("many", "songs=5", "length.bars=1", *BARE)
    assert notes_of(few / "song-001.mid").tobytes() == notes_of(many / "song-001.mid").tobytes()


STEERED = {
    "temperature=[[0,0.8],[8,1.2]]": {"temperature": ((0.0, 0.8), (8.0, 1.2))},
    "temperature=[[0,1]]": {"temperature": ((0.0, 1.0),)},
    "temperature=auto": {"temperature": "auto"},
    "temperature=2": {"temperature": 2.0},
    "sampling.pitch_temperature=0.5": {"pitch_temperature": 0.5},
    "sampling.velocity_temperature=2": {"velocity_temperature": 2.0},
    "control.range=[48,84]": {"controls": Controls(ranges={"all": (48, 84)})},
    "control.range={Soprano:[60,79],Bass:[40,60]}": {
        "controls": Controls(ranges={"Soprano": (60, 79), "Bass": (40, 60)})
    },
    "control.pitch_classes=[4,0,2,0,3,1,0,3,0,2,0,1]": {
        "controls": Controls(pitch_classes=(4.0, 0.0, 2.0, 0.0, 3.0, 1.0, 0.0, 3.0, 0.0, 2.0, 0.0, 1.0))
    },
    "control.key=F# minor": {"controls": Controls(key="F# minor")},
    "control.key=0,2,4,7,9": {"controls": Controls(key="0,2,4,7,9")},
    "control.key=a": {"controls": Controls(key="a")},
    "control.polyphony=3": {"controls": Controls(polyphony=3)},
    "control.density=7.5": {"controls": Controls(density=7.5)},
    "repetition.least=0.3": {"repetition": Repetition(least=0.3)},
    "repetition.break_loops=false": {"repetition": Repetition(break_loops=False)},
    "length.cadence=false": {"cadence": False},
    "weights=int8": {"weights": "int8"},
    "greedy=true": {"greedy": True},
    "control.range=": {},
    "control.key=null": {},
}


@pytest.mark.parametrize("override", STEERED)
def test_what_is_typed_is_what_the_library_is_asked(override):
    usual = arguments_of(config.compose("generate", []).config)
    asked = arguments_of(config.compose("generate", [override]).config)
    assert asked == usual | STEERED[override]
    named = set(inspect.signature(music_model.MusicModel.generate).parameters)
    assert set(asked) <= named - {"self", "songs", "seed", "primer", "infill"}


def test_defaults_are_those_of_the_library():
    usual = arguments_of(config.compose("generate", []).config)
    parameters = inspect.signature(music_model.MusicModel.generate).parameters
    unlike = {name: value for name, value in usual.items() if value != parameters[name].default}
    assert unlike == {"controls": Controls(), "repetition": Repetition()}


def test_what_was_asked_is_printed_and_on_the_page(generate, capsys):
    steered = ("temperature=[[0,0.8],[1,1.2]]", "control.key=C", "control.range=[40,80]", "length.bars=1", "songs=1")
    folder, report = generate("here", *steered, "render.wav=false", "render.png=false")
    line = "asked: temperature=[[0, 0.8], [1, 1.2]] control.key=C control.range=[40, 80] length.bars=1"
    assert line in capsys.readouterr().out.splitlines()
    page = json.loads(re.search(r'"settings":(\[\[.*?\]\]),"songs"', (folder / "index.html").read_text())[1])
    assert [key for key, _ in page] == [
        *("checkpoint", "temperature", "seed", "length", "primer", "control.key", "control.range")
    ]
    assert dict(page)["length"] == "1 bars"
    assert report["asked"]["temperature"] == [[0, 0.8], [1, 1.2]]
    pitches = notes_of(folder / "song-001.mid")["pitch"]
    assert set(pitches % 12) <= {0, 2, 4, 5, 7, 9, 11}
    assert 40 <= pitches.min() <= pitches.max() <= 80


def test_defaults_are_not_told(generate, capsys):
    generate("here", "songs=1", "length.bars=1", *BARE)
    assert "asked: length.bars=1" in capsys.readouterr().out.splitlines()


def test_what_is_out_of_the_ordinary_is_told(generate, monkeypatch, capsys):
    def write(self, *arguments, **options):
        (song,) = whole(self, *arguments, **options)
        song.report.update(loops=0.25, overruled=3, closed_at_limit=True)
        return [song]

    whole = music_model.MusicModel.generate
    monkeypatch.setattr(music_model.MusicModel, "generate", write)
    folder, _ = generate("here", "songs=1", "length.bars=1", "render.wav=false", "render.png=false")
    line = next(line for line in capsys.readouterr().out.splitlines() if "song-001.mid" in line)
    told = ["closed at the limit", "in loops: 25%", "controls gave way to the grammar 3 times"]
    assert line.split("  ")[-3:] == told
    assert ", ".join(told) in (folder / "index.html").read_text()


def test_a_sweep_over_temperatures_of_every_form(chorale_run, tmp_path, report_of):
    places = (f"checkpoint={chorale_run}", f"hydra.sweep.dir={tmp_path}/sweep")
    assert main(["generate", *places, "songs=1", "length.bars=1", *BARE, "-m", "temperature=0.9,[[0,0.8],[1,1]]"]) == 0
    asked = [report_of(tmp_path / "sweep" / k)["asked"]["temperature"] for k in "01"]
    assert asked == [0.9, [[0, 0.8], [1, 1]]]


def test_songs_begin_with_the_primer_and_go_on(generate, run_of_each_encoding, music):
    primer = music / "piece-0.mid"
    asked = ("songs=2", "length.seconds=3", f"primer={primer}", *BARE)
    folder, report = generate("here", *asked, checkpoint=run_of_each_encoding)
    model = music_model.load(run_of_each_encoding)
    read = model.codec.decode(model.codec.encode(Score.read(primer)))
    for song in report["songs"]:
        score = Score.read(folder / song["files"]["mid"])
        names = ["onset_tick", "pitch"]
        begin = score.notes[score.notes["onset_tick"] < read.notes["onset_tick"].max()][names]
        wanted = read.notes[read.notes["onset_tick"] < read.notes["onset_tick"].max()][names]
        assert sorted(begin.tolist()) == sorted(wanted.tolist())
        assert song["new_notes"] > 0
        assert score.length_s >= read.length_s
    without, short = generate("without", *asked, "primer_in_output=false", checkpoint=run_of_each_encoding)
    for song, longer in zip(short["songs"], report["songs"], strict=True):
        assert song["notes"] == song["new_notes"] == longer["new_notes"]
        assert len(notes_of(without / song["files"]["mid"])) == song["notes"]


def test_a_song_without_notes_is_tried_again(chorale_run, monkeypatch):
    model = music_model.load(chorale_run)
    whole = writing.sample
    empty = []

    def sometimes(network, grammar, generators, **options):
        songs = whole(network, grammar, generators, **options)
        if not empty:  # the first of the first attempt comes out as a BOS group, a header and silence
            rests = [grammar.vocabulary.id("REST")] * grammar.group_size
            ids = np.concatenate([songs[0].ids[:8], rests])
            songs[0] = Sampled(ids, np.zeros(grammar.group_size))
            empty.append(ids)
        return songs

    monkeypatch.setattr(writing, "sample", sometimes)
    first, second = model.generate(2, length_bars=1, seed=4)
    assert empty
    assert (first.report["attempt"], second.report["attempt"]) == (1, 0)
    assert all(song.report["notes"] > 0 for song in (first, second))


def test_a_sweep(chorale_run, tmp_path, report_of):
    arguments = [f"checkpoint={chorale_run}", "songs=1", "length.bars=1", *BARE]
    assert main(["generate", *arguments, "-m", "seed=1,2", f"hydra.sweep.dir={tmp_path}/sweep"]) == 0
    assert [report_of(tmp_path / "sweep" / k)["asked"]["seed"] for k in "01"] == [1, 2]
    notes = {notes_of(tmp_path / "sweep" / k / "song-001.mid").tobytes() for k in "01"}
    assert len(notes) == 2


def test_a_model_that_was_hardly_trained_writes_legal_music_at_any_temperature(run_of_each_encoding):
    model = lstmusic.load(run_of_each_encoding)
    for song in model.generate(4, temperature=5.0, length_bars=1):
        assert song.legal
        assert song.report["illegal"] == 0


def test_doctor_passes_where_a_model_is(chorale_run, tmp_path, monkeypatch, report_of, capsys):
    bundled = tmp_path / "pretrained"
    bundled.mkdir()
    (bundled / "bach").symlink_to(chorale_run / "model")
    monkeypatch.setattr(music_model, "PRETRAINED", bundled)
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", f"hydra.run.dir={tmp_path}/doctor"]) == 0
    checks = {row["check"]: row["ok"] for row in report_of(tmp_path / "doctor")["checks"]}
    assert all(checks.values())
    assert {"device", "sound", "package torch", "bundled model", "output folder"} <= set(checks)
    (bundled / "bach").unlink()
    assert main(["doctor", f"hydra.run.dir={tmp_path}/again"]) == 1
    captured = capsys.readouterr()
    assert "FAIL bundled model" in captured.out
    assert "1 checks failed: bundled model" in captured.err
