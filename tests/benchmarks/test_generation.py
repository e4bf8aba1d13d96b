"""table=generation: peers that compute what they say, bytes counted by hand and by the stepper, rows."""

import pytest
import torch

from lstmusic.benchmarks import (
    arithmetic,
    bandwidth,
    generation,
    generation_contenders,
    generation_peers,
    generation_songs,
    generation_weights,
)
from lstmusic.benchmarks.bare_models import BareModel
from lstmusic.benchmarks.generation_contenders import LENGTHS, PLACES, Contender, Models, Size, own_model
from lstmusic.benchmarks.generation_peers import BareSong, Gpt2Song, OwnSong, Shape, cache_size, draw, gpt2, gpt2_shape
from lstmusic.sampling import step_layers, stepper

CPU = torch.device("cpu")
TINY = Size(2, 64)
TINY_GPT2 = Shape(layers=2, width=64, inner=128)


@pytest.fixture
def hasty(monkeypatch):
    """Turns of one step, small arrays and small models."""
    monkeypatch.setattr(generation_contenders, "TURN_S", 0.0)
    monkeypatch.setattr(bandwidth, "READ_BYTES", 2**16)
    monkeypatch.setattr(generation_songs, "SIZE", TINY)
    monkeypatch.setattr(generation_songs, "BARS", 0.25)
    monkeypatch.setattr(generation_weights, "SONGS", 1)
    monkeypatch.setattr(generation_weights, "BARS", 1)


@pytest.fixture
def heard(monkeypatch):
    """The logits that songs were drawn from, in order."""
    logits = []

    def listening(found):
        logits.append(found.clone())
        return draw(found)

    monkeypatch.setattr(generation_peers, "draw", listening)
    return logits


@pytest.fixture
def small_gpt2():
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    return gpt2(TINY_GPT2, num_ids=11, positions=32, device=CPU)


def steps_of(song, count):
    """The ids that a song reads and writes, [count + 1, B]."""
    ids = [song.ids[:, 0]]
    with torch.inference_mode():
        for _ in range(count):
            song.step()
            ids.append(song.ids[:, 0])
    return torch.stack(ids)


def test_the_draw_takes_the_id_in_whose_share_the_number_falls(monkeypatch):
    logits = torch.tensor([[0.1, 0.2, 0.7]]).log()
    for uniform, expected in ((0.0, 0), (0.09, 0), (0.11, 1), (0.29, 1), (0.31, 2), (1.0, 2)):
        monkeypatch.setattr(torch, "rand", lambda *shape, device, uniform=uniform: torch.full(shape, uniform))
        assert draw(logits).tolist() == [[expected]]


def test_the_own_song_is_the_model_step_by_step(heard):
    torch.manual_seed(0)
    model = own_model(TINY)
    song = OwnSong(model, 3, "float32")
    ids = steps_of(song, 5)
    state = model.initial_state(3)
    with torch.no_grad():
        for k in range(5):
            hidden, state = model.step(ids[k][:, None], song.columns, song.flags, state)
            expected = model.member_logits(hidden, song.none, song.columns, song.flags)
            torch.testing.assert_close(heard[k], expected, atol=1e-4, rtol=1e-4)
    assert song.flags.any() and not song.flags.all()


@pytest.mark.parametrize("context", ["as it comes", "without oneDNN"])
def test_the_bare_song_is_an_lstm_by_its_formulas(heard, context):
    torch.manual_seed(0)
    model = BareModel("lstm", 11, 8, 2).eval()
    with torch.backends.mkldnn.flags(enabled=False) if context == "without oneDNN" else torch.no_grad():
        ids = steps_of(BareSong(model, 3), 4)
    weights = {name: p.detach() for name, p in model.layers.named_parameters()}
    h, c = torch.zeros(2, 2, 3, 8)
    for k in range(4):
        x = model.embedding.weight.detach()[ids[k]]
        for layer in range(2):
            gates = x @ weights[f"weight_ih_l{layer}"].T + weights[f"bias_ih_l{layer}"]
            gates = gates + h[layer] @ weights[f"weight_hh_l{layer}"].T + weights[f"bias_hh_l{layer}"]
            i, f, g, o = gates.chunk(4, dim=1)
            c[layer] = f.sigmoid() * c[layer] + i.sigmoid() * g.tanh()
            x = h[layer] = o.sigmoid() * c[layer].tanh()
        torch.testing.assert_close(heard[k], x @ model.output.weight.detach().T + model.output.bias.detach())


@pytest.mark.parametrize("size", generation.SIZES, ids=str)
def test_a_gpt2_of_about_as_many_parameters(size):
    wanted = sum(p.numel() for p in own_model(size).parameters())
    shape = gpt2_shape(wanted, 390, 8192)
    assert shape.parameters(390, 8192) == pytest.approx(wanted, rel=0.05)
    assert 32 <= shape.width / shape.layers <= 128  # GPT-2: 64
    assert 3 <= shape.inner / shape.width <= 5  # GPT-2: 4


def test_no_gpt2_is_so_small():
    with pytest.raises(ValueError, match="expected more for a GPT-2"):
        gpt2_shape(500_000, 390, 8192)


def test_the_parameters_of_a_gpt2_are_those_it_has(small_gpt2):
    assert sum(p.numel() for p in small_gpt2.parameters()) == TINY_GPT2.parameters(11, 32)


def test_a_step_with_the_cache_is_the_last_of_the_whole_song(small_gpt2, heard):
    ids = torch.randint(11, (3, 9))
    song = Gpt2Song(small_gpt2, 3)
    with torch.inference_mode():
        whole = small_gpt2(input_ids=ids).logits
        song.cache = small_gpt2(input_ids=ids[:, :8], use_cache=True).past_key_values
        song.start(8)
        for _ in range(2):  # the second time at the same place
            song.ids = ids[:, 8:]
            song.step()
        song.start(5)
        song.ids = ids[:, 5:6]
        song.step()
    for found, expected in zip(heard, (whole[:, 8], whole[:, 8], whole[:, 5]), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_cache_is_made_up_to_the_place(small_gpt2):
    song = Gpt2Song(small_gpt2, 3)
    song.start(20)
    held = [part for layer in song.cache.layers for part in (layer.keys, layer.values)]
    assert {tuple(part.shape) for part in held} == {(3, 1, 20, 64)}
    assert len({part.data_ptr() for part in held}) == 2 * TINY_GPT2.layers  # nothing is shared, as in a real one
    held_bytes = sum(part.nbytes for part in held)
    assert cache_size(TINY_GPT2, 3, 20) == held_bytes * (TINY_GPT2.layers + 1) / TINY_GPT2.layers
    song.start(7)
    with torch.inference_mode():
        song.step()
    assert song.cache.get_seq_length() == 8


def test_entries_of_the_own_model_are_those_that_the_stepper_lays_out(monkeypatch):
    laid_out = []

    def counting(weight, *others, own=stepper.product):
        laid_out.append(weight.numel())
        return own(weight, *others)

    monkeypatch.setattr(stepper, "product", counting)
    monkeypatch.setattr(step_layers, "product", counting)
    model = own_model(TINY)
    OwnSong(model, 1, "float32")
    assert bandwidth.own_entries(model) == sum(laid_out)
    # 4 gates that read h, then x and h; head of 256: in, 512 wide and back, 390 ids
    assert sum(laid_out) == 4 * 64 * 64 + 4 * 64 * 128 + 256 * (64 + 2 * 512 + 390)


def test_entries_of_the_bare_model_by_hand():
    assert arithmetic.bare_entries(BareModel("lstm", 11, 8, 2)) == 2 * 4 * 8 * (8 + 8) + 8 * 11


def test_the_read_rate_is_that_of_the_best_read(monkeypatch):
    clock = iter([0, 9, 10, 14, 20, 22, 30, 34, 40, 44, 50, 54])
    monkeypatch.setattr(bandwidth, "READ_BYTES", 4000)
    monkeypatch.setattr(bandwidth.time, "perf_counter", lambda: next(clock))
    assert bandwidth.read_rate(CPU) == 4000 / 2


def test_a_cache_that_cores_share_counts_once(tmp_path):
    for cpu, (shared, size) in enumerate([("0-1", "32768K"), ("0-1", "32768K"), ("2-3", "4M")]):
        folder = tmp_path / f"cpu{cpu}" / "cache" / "index3"
        folder.mkdir(parents=True)
        (folder / "size").write_text(f"{size}\n")
        (folder / "shared_cpu_list").write_text(f"{shared}\n")
    assert bandwidth.cache_bytes(CPU, tmp_path) == 36 * 2**20
    assert bandwidth.cache_bytes(CPU, tmp_path / "nowhere") is None


def test_the_mean_over_a_song_is_straight_from_place_to_place():
    one = Contender("GPT-2", 1, None, places=PLACES, seconds=dict(zip(PLACES, (1.0, 3.0, 5.0, 5.0), strict=True)))
    assert one.mean_seconds(256) == 2
    assert one.mean_seconds(1024) == pytest.approx((254 * 2 + 768 * 4) / 1022)
    assert one.mean_seconds(8192) == pytest.approx((254 * 2 + 768 * 4 + 7168 * 5) / 8190)
    one.seconds = dict(zip(PLACES[:2], (1.0, 3.0), strict=True))
    assert one.mean_seconds(256) == 2
    assert one.mean_seconds(1024) is None


def test_the_best_turn_counts(monkeypatch):
    turns = iter([3.0, 2.0, 4.0])
    monkeypatch.setattr(generation_contenders, "seconds_per_step", lambda step, device: next(turns))
    one = Contender("nn.LSTM", 1, BareSong(BareModel("lstm", 11, 8, 1), 1))
    for _ in range(3):
        one.turn(CPU)
    assert one.mean_seconds() == 2


def test_the_first_step_is_not_counted(monkeypatch):
    clock = iter([0.0, 1.0, 4.0, 8.0])  # the start; looked at after one step and two; the end
    monkeypatch.setattr(generation_contenders.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(generation_contenders, "TURN_S", 2.0)
    taken = []
    assert generation_contenders.seconds_per_step(lambda: taken.append(0), CPU) == 8 / 2
    assert len(taken) == 3


def test_rows(hasty):
    pytest.importorskip("transformers")
    sizes = (Size(2, 128),)
    rows = list(generation.rows(sizes=sizes, batches=(1, 2), turns=1, places=(3, 7), songs=(1,)))
    assert all(tuple(row) == generation.COLUMNS for row in rows)
    of = {(row["name"], row["batch"], row["weights"], row["song_ids"]): row for row in rows}
    assert len(of) == len(rows)
    for batch in (1, 2):
        own, plain = of["lstmusic", batch, "float32", None], of["nn.LSTM", batch, "float32", None]
        other = of["nn.LSTM without oneDNN", batch, "float32", None]
        assert own["us_per_step"] * own["tokens_per_second"] == pytest.approx(batch * 1e6)
        assert own["times_lstm"] == pytest.approx(own["tokens_per_second"] / plain["tokens_per_second"])
        assert own["times_lstm_without_onednn"] == pytest.approx(own["tokens_per_second"] / other["tokens_per_second"])
        for length in LENGTHS:
            theirs = of["GPT-2", batch, "float32", length]
            assert own[f"times_gpt2_{length}"] == pytest.approx(own["tokens_per_second"] / theirs["tokens_per_second"])
            assert theirs["parameters"] == pytest.approx(own["parameters"], rel=0.05)
        assert plain["times_lstm"] is None
    reading = of["reading a large array", 1, None, None]
    assert reading["of_limit"] == 1
    for weights, size in (("float32", 4), ("float16", 2), ("int8", 1)):
        own = of["lstmusic", 1, weights, None]
        assert own["matrix_mb"] == size * bandwidth.own_entries(own_model(sizes[0])) / 1e6
        assert own["gb_per_second"] == pytest.approx(own["matrix_mb"] * own["tokens_per_second"] / 1000)
        assert own["of_limit"] == pytest.approx(own["gb_per_second"] / reading["gb_per_second"])
        assert of["lstmusic", 2, weights, None]["of_limit"] is None
    assert generation.summary(rows) == rows


def test_weights_that_the_machine_lacks_leave_a_row_that_says_so(hasty, monkeypatch):
    pytest.importorskip("transformers")
    models = Models(Size(2, 128), CPU)

    def none(model, rows, weights="float32"):
        if weights == "float16":
            raise generation_contenders.ConfigError("weights=float16: expected float32 or int8")
        return stepper.Stepper(model, rows, weights)

    monkeypatch.setattr(stepper, "build", none)
    own = [one for one in models.contenders(1) if one.name == "lstmusic"]
    for one in own:
        one.turn(CPU)
    assert [one.words for one in own] == [None, "weights=float16: expected float32 or int8", None]
    assert [bool(one.seconds) for one in own] == [True, False, True]
    row = next(row for row in generation._group(own, 1, 1e9, None) if row.get("weights") == "float16")
    assert "tokens_per_second" not in row and "of_limit" not in row


def test_a_song_whose_cache_is_too_large_is_left_out(hasty, monkeypatch):
    pytest.importorskip("transformers")
    models = Models(Size(2, 128), CPU)
    limit = cache_size(models.shape, 2, 1023)
    monkeypatch.setattr(generation_contenders, "MEMORY_LIMIT", {"cpu": limit})
    everyone = models.contenders(2)
    for one in everyone:
        one.turn(CPU)
    rows = list(generation._group(everyone, 2, 0.0, None))
    found = {row["song_ids"]: row.get("tokens_per_second") for row in rows if row["name"] == "GPT-2"}
    assert found[256] and found[1024] and found[8192] is None
    own = next(row for row in rows if row["name"] == "lstmusic")
    assert "times_gpt2_1024" in own and "times_gpt2_8192" not in own
    words = {row["words"] for row in rows if row["name"] == "GPT-2"}
    expected = f"; {cache_size(models.shape, 2, 8191) / 1e9:.1f} GB of keys and values at the longest, the limit is 0"
    assert len(words) == 1 and words.pop().endswith(expected)
