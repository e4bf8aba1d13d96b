"""Pictures along a piece and of curves: the axis of time, and what must not go wrong in drawing."""

import numpy as np
import pytest
from PIL import Image

from lstmusic.errors import OutputError
from lstmusic.listening import curves, figures
from lstmusic.listening.figures import Heat, Timeline

RNG = np.random.default_rng(0)


def steps_of(score, step=120):
    """The ticks of a 16th grid, a header's step first and the ending's last."""
    return np.r_[0, np.arange(0, score.end_tick + 1, step)]


def colours(path):
    return np.array(Image.open(path).convert("RGB"))


def test_the_music_lies_along_the_steps(chorale):
    timeline = Timeline(chorale(4), steps_of(chorale(4)))
    assert timeline.at(np.array([0, 120, 180, 1920])).tolist() == [1, 2, 2.5, 17]
    at, numbers = timeline.bars()
    assert at.tolist() == [1, 17, 33, 49, 65] and numbers == [1, 2, 3, 4]  # the last line begins no bar
    short = Timeline(chorale(4), steps_of(chorale(4)), shown=40)
    assert short.bars()[1] == [1, 2, 3] and short.steps == 40


def test_many_steps_at_one_moment(melody):
    """Of a stream of events several steps lie at one tick; what begins there begins at the last of them."""
    timeline = Timeline(melody([(0, 480, 60, 80), (480, 480, 62, 80)]), np.array([0, 0, 0, 480, 480, 960]))
    assert timeline.at(np.array([0, 240, 480, 960, 2000])).tolist() == [2, 2.5, 4, 5, 5]


def test_a_column_of_the_picture_is_a_step(chorale, tmp_path):
    """One step is wholly open, all others shut: bright at its place and nowhere else."""
    score = chorale(2)
    timeline = Timeline(score, steps_of(score))
    values = np.zeros((len(timeline.ticks), 40), np.float32)
    values[20] = 1
    heats = [Heat("gate", values, np.geomspace(0.1, 1e9, 40))]
    path = figures.draw_heats(tmp_path / "gates.png", timeline, heats, title="One step", unit="steps")
    picture = colours(path).astype(int)
    assert picture.shape[1] == 1600
    bright = (picture[..., 0] > 200) & (picture[..., 1] > 200) & (picture[..., 2] < 80)  # the top of viridis
    columns = np.flatnonzero(bright[:, :1450].any(axis=0))  # left of the colour bar
    dark = (picture[..., 0] < 80) & (picture[..., 1] < 20) & (picture[..., 2] < 100) & (picture[..., 2] > 60)
    heat = np.flatnonzero(dark.sum(axis=0) > 50)
    share = (columns.mean() - heat.min()) / (heat.max() - heat.min())
    assert share == pytest.approx(20.5 / len(values), abs=0.01)
    assert len(columns) < 1.5 * (heat.max() - heat.min()) / len(values)


@pytest.mark.parametrize("told", [True, False])
def test_surprise_of_notes_and_bars(chorale, tmp_path, told):
    score = chorale(3)
    nats = RNG.exponential(1, len(score.notes)) if told else None
    if told:
        nats[:4] = np.nan
    bars = np.array([np.nan, 3, 5])
    timeline = Timeline(score, steps_of(score))
    path = figures.draw_surprise(tmp_path / "s.png", timeline, nats, bars, title="Surprise")
    other = figures.draw_surprise(tmp_path / "t.png", timeline, nats, bars + 1, title="Surprise")
    assert (colours(path) != colours(other)).any()


def test_curves_of_every_kind(tmp_path):
    lags = np.arange(1, 20)
    fading = curves.ReachCurve("rnn", False, 0, 0.1**lags, 0.5**lags, np.array([3.0, 0.2]))
    gone = curves.ReachCurve("none", True, 1, np.zeros(19), np.zeros(19), np.array([1.0]))
    paths = [curves.draw_reach(tmp_path / "reach.png", [fading, gone], max_grad_norm=1.0, title="Reach")]
    memory = {"lags": np.array([1, 2, 4]), "by_memory": np.array([0.9, 0.5, 0.4]), "error": np.array([0.1, 0.05, 0])}
    place = (np.array([1.0, np.nan]), np.array([0.1, np.nan]))
    paths.append(
        curves.draw_memory(tmp_path / "m.png", edges=np.array([0, 16, 32]), by_position=place, title="", **memory)
    )
    constants = [np.array([0.0, 1.5, np.inf]), np.full(3, 2.0)]
    paths.append(curves.draw_time_constants(tmp_path / "t.png", constants, steps_per_bar=16, title="Units"))
    for path in paths:
        assert colours(path).shape[:2] == (600, 1600)
        assert len(np.unique(colours(path).reshape(-1, 3), axis=0)) > 10


def test_what_cannot_be_written(chorale, tmp_path):
    score = chorale(1)
    with pytest.raises(OutputError, match="nowhere"):
        figures.draw_heats(tmp_path / "nowhere" / "x.png", Timeline(score, steps_of(score)), [], title="", unit="")
