"""What a model has to beat, by hand where the numbers are small enough."""

import math

import numpy as np
import pytest

from lstmusic.evaluation.baselines import NGram, _gather, _repeat_share, baselines, verdict


def test_witten_bell_by_hand():
    """Ids 0 0 1 of three, in one context: (count + distinct * lower) / (total + distinct), lower = 1/3."""
    model = NGram(3).fit(np.zeros((3, 1), np.int64), np.array([0, 0, 1]))
    p = model.probability(np.zeros((3, 1), np.int64), np.arange(3))
    np.testing.assert_allclose(p, [(2 + 2 / 3) / 5, (1 + 2 / 3) / 5, (2 / 3) / 5])


def test_a_finer_level_leans_on_the_coarser_by_hand():
    """After context 7 only id 1 was seen, once: (1 + 1 * p1) / (1 + 1); an unseen context says what the coarse one says."""
    contexts = np.array([[0, 7], [0, 8], [0, 8]])
    model = NGram(3).fit(contexts, np.array([1, 0, 0]))
    coarse = np.array([(2 + 2 / 3) / 5, (1 + 2 / 3) / 5, (2 / 3) / 5])
    ids = np.arange(3)
    np.testing.assert_allclose(model.probability(np.tile([0, 7], (3, 1)), ids), (np.eye(3)[1] + coarse) / 2)
    np.testing.assert_allclose(model.probability(np.tile([0, 9], (3, 1)), ids), coarse)
    np.testing.assert_allclose(model.probability(np.tile([0, 7], (3, 1)), ids, levels=1), coarse)


def test_probabilities_sum_to_one_over_the_vocabulary(codec, phrase):
    train = [codec.encode(phrase(seed=seed)) for seed in range(3)]
    contexts, ids, _ = _gather(codec, train)
    size = len(codec.vocabulary)
    model = NGram(size).fit(contexts, ids)
    held_out, _, _ = _gather(codec, [codec.encode(phrase(seed=9))])
    for levels in range(1, contexts.shape[1] + 1):
        rows = np.repeat(held_out[:40], size, axis=0)
        p = model.probability(rows, np.tile(np.arange(size), len(held_out[:40])), levels=levels)
        np.testing.assert_allclose(p.reshape(-1, size).sum(axis=1), 1)
        assert (p > 0).all()


def test_a_whole_distribution_is_the_probability_of_each_id(codec, phrase):
    train = [codec.encode(phrase(seed=seed)) for seed in range(3)]
    contexts, ids, _ = _gather(codec, train)
    size = len(codec.vocabulary)
    model = NGram(size).fit(contexts, ids)
    asked = np.concatenate([_gather(codec, [codec.encode(phrase(seed=9))])[0][:40], -contexts[:1]])  # the last: unseen
    each = model.probability(np.repeat(asked, size, axis=0), np.tile(np.arange(size), len(asked)))
    np.testing.assert_allclose(model.distribution(asked), each.reshape(len(asked), size), rtol=1e-12)


def test_a_distribution_by_hand():
    """See `test_a_finer_level_leans_on_the_coarser_by_hand`."""
    model = NGram(3).fit(np.array([[0, 7], [0, 8], [0, 8]]), np.array([1, 0, 0]))
    coarse = np.array([(2 + 2 / 3) / 5, (1 + 2 / 3) / 5, (2 / 3) / 5])
    asked = np.array([[0, 9], [0, 7], [1, 1]])
    np.testing.assert_allclose(model.distribution(asked), [coarse, (np.eye(3)[1] + coarse) / 2, np.full(3, 1 / 3)])


def test_the_share_of_the_guess_maximises_the_likelihood():
    p = np.array([0.1, 0.2, 0.5, 0.05, 0.3])
    right = np.array([True, True, False, True, False])
    share = _repeat_share(p, right)

    def likelihood(w):
        return np.log(w * right + (1 - w) * p).sum()

    grid = np.linspace(0.001, 0.999, 999)
    assert likelihood(share) == pytest.approx(max(likelihood(w) for w in grid), abs=1e-2)


def test_music_that_repeats_its_bar_is_guessed(codec, phrase):
    def repeated(seed):
        from dataclasses import replace

        bar = phrase(bars=1, seed=seed)
        copies = [bar.notes.copy() for _ in range(6)]
        for k, notes in enumerate(copies):
            notes["onset_tick"] += 4 * 480 * k
        return replace(bar, notes=np.concatenate(copies))

    train, held_out = ([codec.encode(repeated(seed)) for seed in seeds] for seeds in (range(4), range(20, 22)))
    nats = baselines(codec, train, held_out)
    assert nats[codec.repeat_name] < 0.7 * nats["ngram"]
    assert nats["unigram"] < math.log(len(codec.vocabulary))


def test_one_piece_is_enough(codec, phrase):
    piece = codec.encode(phrase())
    assert all(0 < value < 10 for value in baselines(codec, [piece], [piece]).values())


@pytest.mark.parametrize(
    ("nats", "words"),
    [
        (2.1, "Learned nothing yet: 2.100 nats per token against 1.000 of the best baseline (ngram)"),
        (1.5, "Undertrained: 1.500"),
        (1.0, "Undertrained: 1.000"),
        (0.9, "Learned a little: 0.900"),
        (0.5, "Learned well: 0.500 nats per token against 1.000 of the best baseline (ngram), 50 % less."),
    ],
)
def test_a_verdict_in_words(nats, words):
    beside = {"unigram": 2.0, "ngram": 1.0, "repeat_bar": 1.2}
    found, first = verdict(nats, beside), verdict(nats, beside, "valid").split(". ")[0].removesuffix(".")
    assert found.startswith(words)
    assert first == f"{found.split('. ')[0].removesuffix('.')} (valid)"


def test_a_verdict_for_what_is_not_a_number():
    assert verdict(math.nan, {"unigram": 2.0, "ngram": 1.0}).startswith("Learned nothing")
