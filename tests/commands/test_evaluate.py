"""Songs beside held-out pieces, through the whole program: what is written, measured, drawn and refused."""

import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import lstmusic
from lstmusic.cli import main
from lstmusic.commands import evaluate_songs, evaluate_views
from lstmusic.commands.corpora import corpus_of, own_data
from lstmusic.evaluation import reference
from lstmusic.evaluation.comparison import MIN_HELD_OUT, two_sample
from lstmusic.evaluation.markov import MarkovModel
from lstmusic.evaluation.originality import Index
from lstmusic.evaluation.reference import INDEX_FILE
from lstmusic.evaluation.statistics import STATISTICS, table

SONGS, SEED, TEMPERATURE = 3, 4, 0.9


@pytest.fixture(scope="module")
def model(chorale_run, tmp_path_factory):
    """The folder of the tiny model."""
    folder = tmp_path_factory.mktemp("models") / "model"
    shutil.copytree(chorale_run / "model", folder)
    return folder


@pytest.fixture(scope="module")
def corpus(model):
    loaded = lstmusic.load(model)
    return corpus_of(loaded, own_data(loaded), jobs=1, console=Console(quiet=True))


@pytest.fixture(scope="module")
def evaluated(model, tmp_path_factory):
    """The folder of an evaluation with songs."""
    folder = tmp_path_factory.mktemp("evaluated") / "here"
    keys = (f"songs={SONGS}", f"seed={SEED}", f"temperature={TEMPERATURE}", "jobs=1", f"hydra.run.dir={folder}")
    assert main(["evaluate", f"checkpoint={model}", *keys]) == 0
    return folder


def pieces_of(corpus, *splits):
    return [corpus.ids(piece) for split in splits for piece in corpus.indices(split)]


def scores_of(corpus, *splits):
    return [corpus.codec.decode(ids) for ids in pieces_of(corpus, *splits)]


def test_what_songs_are_compared_with(evaluated, report_of, corpus):
    found = report_of(evaluated)["songs"]
    held_out, train = (len(pieces_of(corpus, *splits)) for splits in (("valid", "test"), ("train",)))
    assert found["pieces"] == {"held_out": held_out, "model": SONGS, "markov": SONGS, "real": min(SONGS, train)}
    assert (found["seed"], found["temperature"]) == (SEED, TEMPERATURE)
    assert [row["name"] for row in found["statistics"]] == list(STATISTICS)
    density = next(row for row in found["statistics"] if row["name"] == "notes_per_bar")
    assert density["held_out"] == {"pieces": held_out, "mean": 16.0, "sd": 0.0}  # four quarters in four voices
    assert density["real"]["mean"] == 16.0
    assert held_out < MIN_HELD_OUT and density["real"]["overlap"] is None


def test_overlaps_with_few_held_out_pieces_are_not_shown(evaluated, report_of, capsys):
    found = report_of(evaluated)["songs"]
    evaluate_views.show_songs(found, Console(width=100))
    out = capsys.readouterr().out
    assert "16.0   -   -" in out
    assert "-: fewer than 5 held-out pieces that a statistic applies to" in out


def test_many_held_out_pieces_are_thinned_as_in_the_reference(model, corpus, monkeypatch):
    monkeypatch.setattr(reference, "MAX_PIECES", 1)
    sets = evaluate_songs.gathered(
        lstmusic.load(model), corpus, SimpleNamespace(songs=1, seed=0, temperature=1.0, jobs=1)
    )
    assert sets["held_out"] == scores_of(corpus, "valid", "test")[:1]


def test_pieces_of_other_data_are_not_called_those_of_the_training(evaluated, report_of, capsys):
    found = report_of(evaluated)["songs"]
    for own, words in ((True, "training pieces"), (False, "other pieces")):
        evaluate_views.show_songs(found | {"own_split": own}, Console(width=100))
        title = capsys.readouterr().out.split("mean")[0]
        assert (words in title, "not trained on" in title) == (True, own)
        assert ("training pieces" in title) == own
    assert found["own_split"]


def test_the_songs_are_those_of_generate_and_of_the_chain(evaluated, report_of, model, corpus):
    found = report_of(evaluated)["songs"]
    songs = lstmusic.load(model).generate(SONGS, seed=SEED, temperature=TEMPERATURE)
    chain = MarkovModel(corpus.codec, pieces_of(corpus, "train"))
    written = chain.write([np.random.default_rng((SEED, k)) for k in range(SONGS)])
    held_out = table(scores_of(corpus, "valid", "test"))
    for name, scores in {
        "model": [song.score for song in songs],
        "markov": [corpus.codec.decode(ids) for ids in written],
    }.items():
        values = table(scores)
        for k, row in enumerate(found["statistics"]):
            known = values[:, k][np.isfinite(values[:, k])]
            assert row[name]["pieces"] == len(known)
            assert row[name]["mean"] == (pytest.approx(known.mean()) if len(known) else None)
        assert found["two_sample"][name] == pytest.approx(two_sample(held_out, values)._asdict())


def test_the_picture_and_the_report_are_whole(evaluated, report_of):
    with Image.open(evaluated / report_of(evaluated)["songs"]["picture"]) as picture:
        assert picture.width == 1600
    assert "NaN" not in (evaluated / "report.json").read_text()


def test_what_songs_share_with_the_training_pieces(evaluated, report_of, corpus):
    shared = report_of(evaluated)["songs"]["shared_with_training"]
    index = Index.build((f"piece {k}", score) for k, score in enumerate(scores_of(corpus, "train")))
    held_out = index.longest(scores_of(corpus, "valid", "test"))
    assert list(shared) == ["held_out", "model", "markov"]
    assert shared["held_out"]["bars_most"] == pytest.approx(max((run.bars for run in held_out if run), default=0))
    assert shared["model"]["pieces"] == shared["markov"]["pieces"] == SONGS


def test_without_an_index_it_is_not_known(evaluated, model, report_of, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns(INDEX_FILE))
    found = report_of(evaluated)["songs"]
    found["shared_with_training"] = evaluate_songs._shared(lstmusic.load(folder), {})
    assert found["shared_with_training"] is None
    evaluate_views.show_songs(found, Console(width=80))
    assert "the model has no index of its training pieces" in capsys.readouterr().out


def test_without_songs_nothing_is_written(chorale_run, report_of, tmp_path):
    assert main(["evaluate", f"checkpoint={chorale_run}", "jobs=1", f"hydra.run.dir={tmp_path}/e"]) == 0
    assert "songs" not in report_of(tmp_path / "e")
    assert not (tmp_path / "e" / evaluate_songs.PICTURE).exists()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("songs=-1", "songs=-1: expected at least 0"),
        ("songs=many", "songs=many: expected"),
        ("temperature=0", "temperature=0.0: expected a positive number"),
        ("temperature=hot", "temperature=hot: expected"),
        ("seed=-1", "seed=-1: expected at least 0"),
        ("seed=4294967296", "seed=4294967296: expected at most 4294967295"),
    ],
)
def test_wrong_keys(refused, model, tmp_path, key, said):
    others = () if key.startswith("songs") else ("songs=1",)
    line = refused("evaluate", f"checkpoint={model}", key, *others, f"hydra.run.dir={tmp_path}/e")
    assert said in line
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(("empty", "named"), [(("valid", "test"), "valid or test"), (("train",), "train")])
def test_nothing_to_compare_with(refused, model, tmp_path, empty, named):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    split = json.loads((folder / "split.json").read_text())
    other = "train" if "valid" in empty else "valid"
    split[other] += [name for own in empty for name in split[own]]
    split |= {own: [] for own in empty}
    (folder / "split.json").write_text(json.dumps(split))
    line = refused("evaluate", f"checkpoint={folder}", "songs=2", "jobs=1", f"hydra.run.dir={tmp_path}/e")
    assert f"songs=2: no piece of this corpus is in {named}, expected some to compare with" in line


def test_the_table_fits_a_narrow_screen(evaluated, report_of):
    """What is not known (one song has no AUC) is a dash; a statistic that no held-out piece has is left out."""
    found = report_of(evaluated)["songs"]
    found["two_sample"]["model"] = dict.fromkeys(("value", "low", "high"))
    left_out = found["statistics"][list(STATISTICS).index("scale_consistency")]
    left_out["held_out"]["pieces"] = 0
    found["shared_with_training"] = {
        name: {"bars_median": 100.25, "bars_95": 1.5, "bars_most": 9} for name in ("held_out", "model", "markov")
    }
    console = Console(width=80, record=True, file=io.StringIO())
    evaluate_views.show_songs(found, console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "valid and test together" in text
    assert "groove similarity" in text
    assert left_out["words"] not in text
    assert "…" not in text
    assert [line.split() for line in text.splitlines() if line.startswith(" this model")] == [
        ["this", "model", "-", "100.2,", "1.5,", "9.0"]
    ]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (None, 3, "-"),
        (0.0, 3, ".000"),
        (0.96949, 3, ".969"),
        (0.9999, 3, "1.000"),
        (2.9661, 3, "2.97"),
        (61.44, 3, "61.4"),
        (123.4, 3, "123"),
        (1.0, 2, "1.0"),
        (0.031, 2, ".03"),
        (12.34, 2, "12"),
    ],
)
def test_numbers_take_little_room(value, decimals, text):
    assert evaluate_views._number(value, decimals) == text
