"""`lstmusic generate` beside the music of a model's training: what songs share with it, and the best of many."""

import json
import re
import shutil

import pytest

from lstmusic import music_model
from lstmusic.cli import main
from lstmusic.errors import ConfigError, GenerationError, OutputError
from lstmusic.evaluation import reference
from lstmusic.evaluation.originality import Run
from lstmusic.evaluation.reference import INDEX_FILE, REFERENCE_FILE
from lstmusic.score import Score

BARE = ("render.wav=false", "render.png=false")


@pytest.fixture
def generate(chorale_run, tmp_path, report_of):
    """A function: generate into a folder below tmp_path; that folder and its report."""

    def run(name, *overrides, checkpoint=chorale_run):
        folder = tmp_path / name
        places = (f"checkpoint={checkpoint}", f"hydra.run.dir={folder}", "length.bars=1", *BARE)
        assert main(["generate", *places, *overrides]) == 0
        return folder, report_of(folder)

    return run


@pytest.fixture
def bare_model(chorale_run, tmp_path):
    """The model of a training as an earlier version left it."""
    place = tmp_path / "earlier"
    shutil.copytree(chorale_run / "model", place)
    (place / INDEX_FILE).unlink()
    (place / REFERENCE_FILE).unlink()
    return place


def test_the_best_of_many(generate, chorale_run, tmp_path, report_of, capsys):
    folder, report = generate("best", "songs=2", "candidates=5", "seed=3")
    kept, left_out = [song["chosen"] for song in report["songs"]], report["left_out"]
    assert [row["place"] for row in kept + left_out] == [1, 2, 3, 4, 5]
    assert sorted(row["number"] for row in kept + left_out) == [1, 2, 3, 4, 5]
    lines = capsys.readouterr().out.splitlines()
    page = json.loads(re.search(r'"songs":(\[.*\])}', (folder / "index.html").read_text())[1])
    for song, card in zip(report["songs"], page, strict=True):
        assert f"  {song['chosen']['why']}" in lines
        assert dict(card["facts"])["chosen"] == song["chosen"]["why"]
        assert dict(card["facts"])["seed"] == f"3 (song {song['chosen']['number']})"
        told = json.loads(Score.read(folder / song["files"]["mid"]).texts[0][1])
        assert told["song"] == song["number"] == song["chosen"]["number"]
    assert main(["reproduce", f"song={folder}", f"hydra.run.dir={tmp_path}/again"]) == 0
    assert [row["same"] for row in report_of(tmp_path / "again")["songs"]] == [True, True]
    _, all_songs = generate("all", "songs=5", "seed=3")
    assert [song["notes"] for song in report["songs"]] == [
        all_songs["songs"][row["number"] - 1]["notes"] for row in kept
    ]
    assert all_songs["left_out"] == []


def test_the_library_keeps_the_same_songs(generate, chorale_run):
    _, report = generate("best", "songs=2", "candidates=5", "seed=3")
    model = music_model.load(chorale_run)
    songs, left_out = model.choose(model.generate(5, seed=3, length_bars=1), 2)
    assert [song.report["chosen"] for song in songs] == [song["chosen"] for song in report["songs"]]
    assert left_out == report["left_out"]


def test_what_a_song_shares_is_told(generate, monkeypatch, capsys):
    shared = {
        "notes": 9,
        "bars": 1.5,
        "piece": "piece-3",
        "piece_bar": 2,
        "bar": 1,
        "track": "Alto",
        "semitones": 2,
        "beyond": 0.5,
    }

    def write(self, *arguments, **options):
        songs = whole(self, *arguments, **options)
        assert "originality" in songs[0].report
        songs[0].report["originality"] = shared
        return songs

    whole = music_model.MusicModel.generate
    monkeypatch.setattr(music_model.MusicModel, "generate", write)
    folder, report = generate("here", "songs=1")
    words = "shares 1.5 bars with piece-3 bar 2 (50% of held-out pieces share as much)"
    assert words in capsys.readouterr().out
    assert words in (folder / "index.html").read_text()
    assert report["songs"][0]["originality"] == shared


def test_a_song_that_shares_too_much_is_written_again(chorale_run, monkeypatch):
    model = music_model.load(chorale_run)
    longest = model.index.longest
    seen = []

    def shares(scores):
        (run,) = longest(scores)
        seen.append(run)
        like = {"notes": 9, "bars": 2.5 if len(seen) < 3 else 2.0, "piece": "a", "piece_bar": 1}
        return [Run(**like, bar=1, track="Alto", semitones=0)]

    monkeypatch.setattr(model.index, "longest", shares)
    (song,) = model.generate(1, max_shared_bars=2, length_bars=1, seed=1)
    assert song.report["attempt"] == 2
    assert song.report["originality"]["bars"] == 2
    seen.clear()
    message = (
        r"^1 of 1 songs share more bars than originality.max_bars=1.5 with a training piece \(2 with a\), 16 seeds "
        r"tried for each; expected a larger originality.max_bars$"
    )
    with pytest.raises(GenerationError, match=message):
        model.generate(1, max_shared_bars=1.5, length_bars=1, seed=1)
    assert len(seen) == 16


def test_a_model_that_does_not_know_its_pieces(generate, bare_model, refused, tmp_path, capsys):
    _, report = generate("bare", "songs=1", checkpoint=bare_model)
    assert "originality" not in report["songs"][0]
    line = f"what songs share with training pieces: see lstmusic evaluate checkpoint={bare_model}"
    assert capsys.readouterr().out.splitlines().count(line) == 1
    for asked in ("candidates=16", "originality.max_bars=2"):
        line = refused("generate", f"checkpoint={bare_model}", asked, f"hydra.run.dir={tmp_path}/refused")
        assert f"{asked}: the folder of {bare_model} does not tell" in line
        assert f"lstmusic evaluate checkpoint={bare_model} adds that" in line
    assert not (tmp_path / "refused").exists()


def test_evaluate_adds_what_is_missing(bare_model, chorale_run, generate, tmp_path, capsys):
    command = ["evaluate", f"checkpoint={bare_model}", "jobs=1"]
    assert main([*command, f"hydra.run.dir={tmp_path}/first"]) == 0
    assert f"added to {bare_model}: originality.npz, reference.json" in capsys.readouterr().out
    for name in (INDEX_FILE, REFERENCE_FILE):
        assert (bare_model / name).read_bytes() == (chorale_run / "model" / name).read_bytes()
    assert main([*command, f"hydra.run.dir={tmp_path}/second"]) == 0
    assert "added to" not in capsys.readouterr().out
    _, report = generate("now", "songs=1", "candidates=2", checkpoint=bare_model)
    assert "chosen" in report["songs"][0]


def test_evaluate_goes_on_where_the_folder_cannot_be_written(bare_model, tmp_path, capsys, monkeypatch):
    def fail(*arguments):
        raise OutputError("originality.npz: cannot be written (no space)")

    monkeypatch.setattr(reference, "add", fail)
    assert main(["evaluate", f"checkpoint={bare_model}", "jobs=1", f"hydra.run.dir={tmp_path}/here"]) == 0
    assert "originality.npz: cannot be written (no space)" in capsys.readouterr().out


def test_a_damaged_file_is_named(bare_model, chorale_run, refused):
    shutil.copy(chorale_run / "model" / REFERENCE_FILE, bare_model)
    (bare_model / INDEX_FILE).write_bytes(b"torn")
    assert f"{bare_model / INDEX_FILE}: damaged" in refused("generate", f"checkpoint={bare_model}", "length.bars=1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"songs": 0}, "songs=0: expected 1 or more"),
        ({"max_shared_bars": -1}, "originality.max_bars=-1: expected at least 0"),
    ],
)
def test_what_the_library_refuses(chorale_run, arguments, message):
    with pytest.raises(ConfigError, match=message):
        music_model.load(chorale_run).generate(**arguments)
