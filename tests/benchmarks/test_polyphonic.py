"""The polyphonic table: its protocol, its baselines against counting by hand, its sizes, and its rows on made-up sets."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lstmusic.benchmarks import polyphonic
from lstmusic.benchmarks.polyphonic_recipes import MODELS, PUBLISHED, SETS
from lstmusic.commands import bench
from lstmusic.corpus import store
from lstmusic.corpus.datasets import _polymusic_file, read_polymusic
from lstmusic.corpus.pieces import SPLITS, PieceRef, Source
from lstmusic.errors import ConfigError
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.events import codec as codecs
from lstmusic.schema import FRAMES_PER_QUARTER, FiltersConfig
from lstmusic.training import checkpoint

SIZES_OF_2014 = {"tanh": 20_100, "gru": 20_200, "lstm": 19_800}
COUNTED = {  # test split, nats per frame: per-key marginal and per-key Markov-1
    "Nottingham": (10.26, 5.15),
    "JSB_Chorales": (11.09, 10.49),
    "MuseData": (11.51, 8.56),
    "Piano_midi": (11.05, 8.26),
}


def chords(seed: int, frames: int) -> np.ndarray:
    """Chords of three keys that change now and then, uint8 [T, 88]; the first and the last frame may be silent."""
    rng = np.random.default_rng(seed)
    out = np.zeros((frames, 88), np.uint8)
    for start in range(0, frames, 3):
        out[start : start + 3, rng.choice(np.arange(30, 60), 3, replace=False)] = 1
    out[-1] = 0
    return out


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """The corpus of a made-up set in the form of JSB_Chorales: three pieces a split."""
    folder = tmp_path_factory.mktemp("polymusic")
    pieces = {split: [chords(10 * k + i, 20 + i) for i in range(3)] for k, split in enumerate(SPLITS)}
    cells = {}
    for split in SPLITS:
        cells[f"{split}data"] = np.empty((1, 3), object)
        cells[f"{split}data"][0, :] = pieces[split]
    savemat(folder / "JSB_Chorales.mat", cells)
    refs = [PieceRef(f"{s}-{i}", "polymusic", str(folder / "JSB_Chorales.mat"), s, i) for s in SPLITS for i in range(3)]
    corpus = store.prepare(
        Source(refs, "made up"),
        "frames",
        {"frames_per_quarter": 1},
        cache=folder / "cache",
        filters=FiltersConfig(min_notes=1, min_seconds=0, min_pitches=1, duplicates=True, near_duplicates=True),
        jobs=1,
    )
    return corpus, pieces


def test_rows_come_for_each_baseline_and_each_training(made_up):
    notes = []
    rows = list(
        polyphonic.rows(
            note=notes.append,
            open_set=lambda subset: made_up[0],
            subsets=["JSB_Chorales"],
            minutes=1e-4,
            seeds=2,
            models=["lstm"],
        )
    )
    assert [(row["model"], row["seed"]) for row in rows] == [
        ("per-key marginal", None),
        ("per-key Markov-1", None),
        ("lstm", 0),
        ("lstm", 1),
    ]
    assert notes == ["lstm, JSB_Chorales, seed 0", "lstm, JSB_Chorales, seed 1"]
    assert len({tuple(row) for row in rows}) == 1
    trained = rows[2:]
    assert all(0 < row["test"] < 61 and row["valid"] > 0 and row["steps"] >= 1 for row in trained)
    assert trained[0]["test"] != trained[1]["test"]
    (line,) = [line for line in polyphonic.summary(rows) if line["model"] == "lstm"]
    assert line["JSB"].startswith(f"{np.mean([row['test'] for row in trained]):.2f} ± ")
    assert line["Nottingham"] == ""
    assert line["source"].startswith("2 × ")


def test_a_model_that_is_not_there_is_named(made_up):
    rows = polyphonic.rows(note=print, open_set=lambda s: made_up[0], subsets=["JSB_Chorales"], models=["lstm", "tcn"])
    with pytest.raises(ConfigError, match="models=tcn: expected some of tanh, gru, lstm, "):
        next(rows)


def test_the_protocol(made_up):
    """Frames from the second on, given all before; summed over keys and pieces, divided once by their number."""
    corpus, pieces = made_up
    torch.manual_seed(0)
    model = checkpoint.build_model(
        corpus.codec, {"output": "independent", "cell": "gru", "embedding_size": 0, "hidden_size": 7, "num_layers": 1}
    ).eval()
    (layer,) = model.layers
    nats, frames = 0.0, 0
    with torch.no_grad():
        for piece in pieces["test"]:
            heard = torch.tensor(np.vstack([np.zeros((1, 88)), piece]), dtype=torch.float32)  # first the beginning
            outputs, _ = layer(heard[None, :-1], (torch.zeros(1, 7),))
            p = torch.sigmoid(model.head.output(outputs[0]))[1:]
            now = heard[2:]
            nats -= float((now * p.log() + (1 - now) * (1 - p).log()).sum())
            frames += len(now)
    found = split_nats(model, corpus.lanes("test", num_lanes=2, window_steps=7))
    assert found.tokens == 88 * frames
    assert 88 * found.per_token == pytest.approx(nats / frames, rel=1e-5)


def test_counts_are_those_of_a_loop_over_keys(made_up):
    corpus, pieces = made_up
    every = np.concatenate(pieces["train"])
    marginal = markov = steps = 0
    for piece in pieces["test"]:
        for before, now in pairwise(piece):
            steps += 1
            for key in range(88):
                p = (every[:, key].sum() + 0.5) / (len(every) + 1)
                marginal -= np.log(p if now[key] else 1 - p)
                pairs = [(a[key], b[key]) for train in pieces["train"] for a, b in pairwise(train)]
                after = [b for a, b in pairs if a == before[key]]
                p = (sum(after) + 0.5) / (len(after) + 1)
                markov -= np.log(p if now[key] else 1 - p)
    assert polyphonic.key_counts(corpus) == pytest.approx((marginal / steps, markov / steps))


@pytest.mark.parametrize("subset", SETS)
def test_counts_on_the_real_sets(data_dir, tmp_path, subset):
    """Half a count for each outcome: 10.26 and 5.15 nats on Nottingham, and so on; as computed in another program."""
    path = data_dir / "polymusic" / f"{subset}.mat"
    codec = codecs.build("frames", frames_per_quarter=FRAMES_PER_QUARTER[subset])

    class Real:
        """As much of a corpus as counting needs."""

        def __init__(self):
            self.codec = codec
            self.refs = [
                PieceRef("", "polymusic", str(path), split, i)
                for split in SPLITS
                for i in range(len(_polymusic_file(str(path))[split]))
            ]

        def indices(self, split):
            return [i for i, ref in enumerate(self.refs) if ref.split == split]

        def ids(self, piece):
            return codec.encode(read_polymusic(self.refs[piece]))

    assert polyphonic.key_counts(Real()) == pytest.approx(COUNTED[subset], abs=0.006)


@pytest.mark.parametrize("name", SIZES_OF_2014)
def test_the_small_models_are_as_large_as_they_may_be(name):
    codec, limit = codecs.build("frames"), SIZES_OF_2014[name]
    for recipe in MODELS[name].recipes.values():
        assert (recipe.embedding_size, recipe.num_layers) == (0, 1)
        sizes = [
            sum(p.numel() for p in checkpoint.build_model(codec, MODELS[name].sizes(wider)).parameters())
            for wider in (recipe, recipe._replace(hidden_size=recipe.hidden_size + 1))
        ]
        assert sizes[0] <= limit < sizes[1]


@pytest.mark.parametrize(("name", "plain"), [("gru_echoes", "gru"), ("lstm_echoes", "lstm")])
def test_echoes_do_not_make_the_small_models_larger(name, plain):
    codec = codecs.build("frames")
    for recipe in MODELS[name].recipes.values():
        model = checkpoint.build_model(codec, MODELS[name].sizes(recipe))
        assert sum(p.numel() for p in model.parameters()) <= SIZES_OF_2014[plain]


def test_every_model_has_a_recipe_for_every_set():
    assert all(list(model.recipes) == list(SETS) for model in MODELS.values())
    assert set(SETS) == set(FRAMES_PER_QUARTER)
    assert all(len(line.nats) == len(SETS) for line in PUBLISHED)


def test_the_summary_holds_what_was_published_for_the_sets_that_were_asked_for():
    row = {"seed": 0, "parameters": 20_000, "minutes": 3.0}
    rows = [
        {"model": "gru", "set": "MuseData", "test": nats, **row, "seed": seed} for seed, nats in enumerate((6.0, 5.8))
    ]
    lines = {line["model"]: line for line in polyphonic.summary(rows)}
    assert (lines["gru"]["MuseData"], lines["gru"]["parameters"]) == ("5.90 ± 0.14", "20.0k")
    assert lines["gru"]["source"] == "2 × 3 min"
    assert lines["GRU, Chung 2014"]["MuseData"] == "5.99"
    assert "TCN, Bai 2018" not in lines
    assert lines["RNN-NADE (HF)"]["keys"] == "joint"


def test_the_table_is_one_of_bench():
    assert bench.TABLES["polyphonic"].takes == ("data", "minutes", "seeds", "models")
