"""table=long_lag: sequences by hand, what can be had without memory, sizes that match, rows."""

import math

import pytest
import torch
from torch.nn import functional

from lstmusic.benchmarks import long_lag
from lstmusic.benchmarks.lag_tasks import BLANK, COPIED, DELIMITER, LETTERS, TASKS, adding_loss, copying_loss
from lstmusic.benchmarks.long_lag import CONTENDERS, Contender

GRU = Contender("gru")


def drawn(task, sequences, lag, seed=0):
    return TASKS[task].draw(sequences, lag, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("lag", [10, 11, 100])
def test_adding_asks_for_the_sum_of_what_is_marked_once_in_each_half(lag):
    inputs, targets = drawn("adding", 500, lag)
    assert inputs.shape == (500, lag, 2)
    marked = inputs[..., 1].bool()
    assert (marked[:, : lag // 2].sum(1) == 1).all() and (marked[:, lag // 2 :].sum(1) == 1).all()
    for k in range(20):
        first, second = inputs[k][marked[k], 0].tolist()
        assert targets[k].item() == pytest.approx(first + second)
    assert marked.any(0).all()  # every place is drawn, also the last
    assert inputs.min() >= 0 and inputs.max() < 1.0001


def test_copying_asks_for_the_letters_after_the_lag():
    inputs, targets = drawn("copying", 3, lag=4)
    ids = inputs.argmax(-1)
    assert inputs.sum(-1).eq(1).all() and inputs.shape == (3, 4 + 20, LETTERS + 2)
    for sequence, letters in zip(ids.tolist(), targets.tolist(), strict=True):
        assert sequence == [*letters, BLANK, BLANK, BLANK, DELIMITER, *[BLANK] * COPIED]
        assert all(0 <= letter < LETTERS for letter in letters)


def test_only_the_answer_is_scored():
    outputs = torch.randn(2, 30, LETTERS)
    _, letters = drawn("copying", 2, lag=10)
    by_hand = -outputs[:, 20:].log_softmax(-1).gather(-1, letters.unsqueeze(-1)).mean()
    torch.testing.assert_close(copying_loss(outputs, letters), by_hand)
    said = torch.tensor([[[9.0], [1.5]], [[9.0], [0.5]]])
    assert adding_loss(said, torch.tensor([1.0, 1.0])).item() == 0.25


def test_no_memory_leaves_the_baseline():
    _, sums = drawn("adding", 100_000, 10)
    assert functional.mse_loss(sums.mean().expand_as(sums), sums).item() == pytest.approx(1 / 6, rel=0.02)
    assert TASKS["adding"].baseline == pytest.approx(0.167, abs=0.001)
    _, letters = drawn("copying", 20_000, 10)
    shares = torch.bincount(letters.flatten(), minlength=LETTERS) / letters.numel()
    best = copying_loss(shares.log().expand(len(letters), 30, LETTERS), letters).item()
    assert best == pytest.approx(TASKS["copying"].baseline, rel=0.001) == pytest.approx(math.log(8), rel=0.001)


def test_a_model_that_remembers_one_number_has_half_of_the_baseline_left():
    inputs, sums = drawn("adding", 100_000, 10)
    second = (inputs[..., 0] * inputs[..., 1])[:, 5:].sum(1)
    left = functional.mse_loss(0.5 + second, sums).item() / TASKS["adding"].baseline
    assert left == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_sizes_match(task, contender):
    model = long_lag.build(contender, TASKS[task], lag=100)
    assert long_lag.count(model) == pytest.approx(long_lag.WEIGHTS, rel=0.1)
    inputs, targets = drawn(task, 2, 10)
    assert torch.isfinite(TASKS[task].loss(model(inputs), targets))


def test_chrono_gives_time_constants_up_to_the_lag():
    layer = long_lag.build(Contender("lstm", init="chrono"), TASKS["adding"], lag=300).layers[0]
    size = layer.hidden_size
    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    constant = bias[size : 2 * size].exp()  # 1 / (1 - f) = 1 + exp(b)
    assert constant.min() >= 1 and 200 < constant.max() <= 299
    torch.testing.assert_close(bias[:size], -bias[size : 2 * size])


def test_a_short_lag_is_solved_and_told():
    row = long_lag.train("adding", Contender("mingru", layers=2), 6, seed=0, limit_s=20.0)
    assert row["solved"] and row["loss"] < 0.01 and row["of_baseline"] < 0.06
    assert row["steps"] >= long_lag.CHECKED
    assert row["ms_per_step"] == pytest.approx(1000 * row["seconds"] / row["steps"])


def test_after_a_failure_no_longer_lag_is_tried(monkeypatch):
    asked = []

    def train(task, contender, lag, *, seed, limit_s):
        asked.append((task, lag, limit_s))
        solved = lag < 30
        return {"task": task, "name": contender.name, "lag": lag, "seed": seed, "solved": solved}

    monkeypatch.setattr(long_lag, "train", train)
    threads = torch.get_num_threads()
    rows = list(long_lag.rows(minutes=1.0, lags=(10, 90, 1000), contenders=(GRU,)))
    assert [(task, lag) for task, lag, _ in asked] == [("adding", 10), ("adding", 90), ("copying", 10), ("copying", 90)]
    assert [limit_s for _, _, limit_s in asked[:2]] == pytest.approx([12.0, 18.0])
    assert len(rows) == 4 and torch.get_num_threads() == threads


def test_the_summary_has_a_column_for_each_lag():
    def row(lag, seed, solved, left):
        own = {"lag": lag, "seed": seed, "solved": solved, "of_baseline": left}
        return {
            "task": "adding",
            "name": "gru",
            "weights": 7,
            "steps": 1000 + seed,
            "seconds": 2.0,
            "ms_per_step": 5.0,
            **own,
        }

    (one,) = long_lag.summary([row(10, 0, True, 0.05), row(100, 0, False, 0.98)])
    assert (one["lag 10"], one["lag 100"], one["µs_per_time_step"]) == ("1,000 in 2 s", "no: 98 %", 50.0)
    assert one["name"] == "adding: gru"
    (two,) = long_lag.summary([row(10, 0, True, 0.05), row(10, 1, True, 0.05), row(10, 2, False, 0.4)])
    assert two["lag 10"] == "1,000 in 2 s (2/3)"
