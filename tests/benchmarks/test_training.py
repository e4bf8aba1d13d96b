"""table=training: arithmetic counted by hand and by torch, contenders that learn the same tokens, rows."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lstmusic.benchmarks import arithmetic, training
from lstmusic.benchmarks.bare_models import BareModel, BareTraining
from lstmusic.benchmarks.own_training import PARTS, OwnTraining, made_up_workload

TINY = training.Sizes(layers=2, hidden=16, steps=20, lanes=4)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def work():
    """Made-up music for four lanes, in windows of more steps than there are ids."""
    return made_up_workload(lanes=4, window_steps=100)


@pytest.fixture(scope="module")
def rows():
    """The table at a tiny size."""
    return list(training.rows(sizes=TINY, turns=1, steps=1))


def counted(model, loss):
    """FLOPs of a backward pass and the forward pass before it, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        loss(model).backward()
    return counter.get_total_flops()


def test_flops_of_a_gru_by_hand():
    # three gates that read an input of 3 and a state of 3, then 5 ids: 54 + 15 multiplications and additions, three times
    model = BareModel("gru", num_ids=5, hidden_size=3, num_layers=1)
    assert arithmetic.bare_flops(model) == 3 * 2 * (3 * 3 * (3 + 3) + 3 * 5)


@pytest.mark.parametrize("loop", [False, True])
def test_flops_of_the_bare_model_are_what_torch_counts(loop):
    model = BareModel("gru", num_ids=11, hidden_size=8, num_layers=2, loop=loop)
    ids = torch.randint(11, (3, 7))
    first_state = torch.zeros(2, 3, 8, requires_grad=True)  # else the first step has no gradient to hand back
    found = counted(model, lambda model: model(ids, first_state)[0].sum())
    assert found == 3 * 7 * arithmetic.bare_flops(model)


@pytest.mark.parametrize("without", [set(), {"features"}])
def test_flops_of_the_own_model_are_what_torch_counts(work, without):
    own = OwnTraining("gru", 16, 2, work, CPU, torch.float32, without=frozenset(without))
    window = work.windows()[0][1]
    model = own.module.model.model if without else own.module.model
    state = tuple(part.requires_grad_() for part in model.initial_state(4))
    found = counted(own.module.model, lambda model: model(window, state)[0].sum())
    once = arithmetic.matrix_flops(work.num_ids * model.stack_input.weight.numel())  # per window
    assert found == pytest.approx(window.targets.numel() * own.flops + once, rel=0.001)


def test_a_loop_over_steps_is_the_same_model():
    torch.manual_seed(0)
    once, loop = (BareModel("lstm", 11, 8, 2, loop=loop) for loop in (False, True))
    loop.load_state_dict(once.state_dict())
    ids = torch.randint(11, (3, 7))
    torch.testing.assert_close(once(ids)[0], loop(ids)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_bare_training_learns(dtype):
    torch.manual_seed(0)
    own = BareTraining(BareModel("gru", 4, 16, 1), CPU, dtype)
    ids = torch.arange(21).remainder(4).repeat(8, 1)

    @torch.no_grad()
    def loss():
        logits, _ = own.model(ids[:, :-1])
        return float(nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()))

    before = loss()
    for _ in range(150):
        own.step(ids[:, :-1], ids[:, 1:])
    assert loss() < 0.5 * before


def test_the_own_training_goes_on_where_its_turn_before_ended(work):
    own = OwnTraining("gru", 16, 1, work, CPU, torch.float32)
    before = [p.detach().clone() for p in own.module.model.parameters()]
    assert own.turn(2) > 0 and own.turn(3) > 0
    assert own.module.window_index == 5
    assert own.module.position == (0, 5)
    assert not any(torch.equal(a, b) for a, b in zip(before, own.module.model.parameters(), strict=True))


def test_parts_can_be_left_out(work):
    own = OwnTraining("gru", 16, 1, work, CPU, torch.float32, without=frozenset(PARTS))
    model = own.module.model.model
    averaged = [p.clone() for p in own.module.averaged.parameters()]
    assert own.turn(2) > 0
    assert model.stack_flags is None and model.layers.dropout == 0
    assert all(torch.equal(a, b) for a, b in zip(averaged, own.module.averaged.parameters(), strict=True))


def test_without_masks_what_is_forbidden_has_its_share(work):
    reduced = OwnTraining("gru", 16, 1, work, CPU, torch.float32, without=frozenset({"masks", "dropout"})).module.model
    window = work.windows()[0][1]
    (nats, _), (masked, _) = reduced(window), reduced.model(window)
    assert (masked <= nats + 1e-5).all() and (masked < nats - 0.1).any()


def test_rows_compare_what_is_alike(rows):
    by_name = {(row["name"], row["cell"], row["dtype"]): row for row in rows}
    assert len(by_name) == len(rows) >= 3 + 8 + len(PARTS) + 1
    assert all(tuple(row) == training.COLUMNS for row in rows)
    assert by_name["one large product, products as ours", None, "float32"]["of_matmul"] == 1
    assert by_name["nn.GRU, nothing else, products as ours", "gru", "float32"]["times_bare"] > 0
    loop = by_name["nn.GRU, one call per step", "gru", "float32"]
    bare = by_name["nn.GRU, nothing else", "gru", "float32"]
    own = by_name["lstmusic with everything", "gru", "float32"]
    assert loop["times_loop"] == bare["times_bare"] == 1
    assert own["times_bare"] == pytest.approx(own["tokens_per_second"] / bare["tokens_per_second"])
    assert own["times_loop"] == pytest.approx(own["times_bare"] * bare["times_loop"])
    assert own["tokens_per_second"] == pytest.approx(4 * 20 / own["ms_per_step"] * 1000)
    assert own["gflop_per_second"] == pytest.approx(own["mflop_per_token"] * own["tokens_per_second"] / 1000)
    assert training.summary(rows) == rows


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_like_is_compared_with_like(rows, cell):
    of = {row["name"]: row for row in rows if (row["cell"], row["dtype"]) == (cell, "float32")}
    plain, same = of[f"nn.{cell.upper()}, nothing else"], of[f"nn.{cell.upper()}, nothing else, products as ours"]
    assert plain["times_bare_same_products"] == same["times_bare_same_products"] == 1
    for name in (
        "lstmusic with everything",
        *(["nn.GRU, one call per step, products as ours"] if cell == "gru" else []),
    ):
        expected = of[name]["tokens_per_second"] / same["tokens_per_second"]
        assert of[name]["times_bare_same_products"] == pytest.approx(expected)


def test_another_dtype_is_not_compared():
    def contender(name, dtype, seconds, as_ours=False):
        return training.Contender(name, "gru", TINY, dtype, lambda steps: 0.0, 1, as_ours, [seconds])

    loop, bare = contender("nn.GRU, one call per step", torch.float32, 8.0), "nn.GRU, nothing else"
    own = [contender("lstmusic with everything", dtype, 1.0, True) for dtype in (torch.float32, torch.bfloat16)]
    others = [contender(bare, torch.float32, 4.0), contender(bare, torch.bfloat16, 3.0)]
    others.append(contender(f"{bare}, products as ours", torch.float32, 2.0, True))
    found = [training._row(one, [loop, *others, *own], 1.0) for one in own]
    names = ("times_loop", "times_bare", "times_bare_same_products")
    assert [[row[name] for name in names] for row in found] == [[8, 4, 2], [None, 3, 3]]


def test_the_median_of_turns_beside_each_other():
    mine, other = (training.Contender("", "gru", TINY, torch.float32, lambda steps: 0.0, 0) for _ in range(2))
    mine.seconds, other.seconds = [1.0, 5.0, 2.0], [3.0, 10.0, 8.0]
    assert training._ratio(other, mine) == 3  # of 3, 2 and 4


def test_the_matmul_rate_counts_two_flops(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(arithmetic, "MATRIX_SIZE", {"cpu": 10})
    monkeypatch.setattr(arithmetic.time, "perf_counter", lambda: next(clock))
    assert arithmetic.matmul_rate(CPU, torch.float32) == 2000
