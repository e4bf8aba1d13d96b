"""Songs beside held-out music, by their statistics: one by one by their distances, and all at once by a classifier.

A set of songs is as much like held-out music as other real music is when a statistic's distances between the two sets are
distributed as those within held-out music, and when a classifier cannot tell the two apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MIN_HELD_OUT = 5  # fewer have under ten distances: their density is no distribution
GRID = 2048
TAIL_BANDWIDTHS = 4.0  # what a Gaussian has beyond is under 1e-4
FLOOR = 1e-10  # the least share of a cell of the grid: a KL divergence is at most 23 nats
ALIKE = 1e-9  # a spread this small beside the values is rounding

FOLDS = 5
REPEATS = 10
FOLDS_SHARE = 2.0  # by how much folds that are trained on each other raise the variance of their mean; see `two_sample`
PENALTY = 1.0
NEWTON_STEPS = 30
CONVERGED = 1e-8
Z_95 = 1.959963984540054


class Comparison(NamedTuple):
    """One statistic of held-out pieces and of others; not a number where there are too few of either.

    Attributes:
        held_out_pieces, pieces: how many the statistic applies to.
        held_out_mean, held_out_sd, mean, sd: of the values (sd with N - 1).
        overlap: the area that the density of distances within held-out pieces and that between the sets share: 1 is best;
            it takes five held-out pieces, and so does `kl`.
        kl: the sum of p log(p / q), in nats, with p of the distances within and q of those between the sets: 0 is best.
    """

    held_out_pieces: int
    pieces: int
    held_out_mean: float
    held_out_sd: float
    mean: float
    sd: float
    overlap: float
    kl: float


class Auc(NamedTuple):
    """The area under a ROC curve with a 95 % interval: 0.5 if two sets cannot be told apart, 1 if always."""

    value: float
    low: float
    high: float


def compared(held_out: np.ndarray, others: np.ndarray) -> Comparison:
    """Compare one statistic of two sets by the distances of their pieces.

    Yang and Lerch (2020), "On the evaluation of generative models in music", section 3.3: intra-set distances are the
    absolute differences of every two held-out pieces, inter-set distances those of every held-out piece and every other;
    each is smoothed into a density by Gaussian kernels of Scott's bandwidth, and the two densities are compared by their
    overlapping area and their KL divergence. Where they evaluate the KL divergence on two grids, here both densities
    stand on one. A set whose distances are all equal has no density: shares of equal distances are compared then.

    Args:
        held_out: the statistic's values of held-out pieces, float [N]; pieces to which it does not apply are left out.
        others: those of other pieces, float [M].
    """
    held_out, others = (values[np.isfinite(values)] for values in (held_out, others))
    overlap = kl = float("nan")
    if len(held_out) >= MIN_HELD_OUT and len(others):
        intra = np.abs(held_out[:, None] - held_out)[np.triu_indices(len(held_out), 1)]
        inter = np.abs(held_out[:, None] - others).ravel()
        rounding = ALIKE * max(np.abs(held_out).max(), np.abs(others).max())
        p, q = _shares(*(np.where(distances > rounding, distances, 0) for distances in (intra, inter)))
        overlap = float(np.minimum(p, q).sum())
        kl = max(float((p * np.log(np.maximum(p, FLOOR) / np.maximum(q, FLOOR))).sum()), 0.0)
    return Comparison(len(held_out), len(others), *_mean_sd(held_out), *_mean_sd(others), overlap, kl)


def two_sample(real: np.ndarray, others: np.ndarray, seed: int = 0) -> Auc:
    """How well a logistic regression tells others from real pieces by their statistics: 0.5 if it cannot.

    A classifier two-sample test (Lopez-Paz and Oquab 2017). Stratified 5-fold cross-validation, ten times over: columns are
    standardised by the training folds, values that are missing become their mean there, and a column that says so is
    added; L2 penalty 1, as of standardised columns, on all but the intercept. A piece is ranked against the pieces of the
    other set in its own fold alone (ties half), since scores of two folds come from two classifiers. The interval is
    Newcombe's (2006, method 5), which does not vanish at 1, with twice the variance: each of k folds helps to train the
    classifiers of all others, so that where the sets do not differ two folds' AUCs correlate by up to 1 / (k - 1).

    Args:
        real: statistics of real pieces, float [N, S], NaN where one does not apply.
        others: of the others, float [M, S].
        seed: of the folds.
    """
    if min(len(real), len(others)) < 2:
        return Auc(float("nan"), float("nan"), float("nan"))
    table = _with_missing(np.concatenate([real, others]))
    ours = np.arange(len(table)) >= len(real)
    rng = np.random.default_rng(seed)
    value = float(np.mean([_fold_auc(table, ours, rng) for _ in range(REPEATS)]))
    return Auc(value, *_interval(value, len(real), len(others)))


def auc(real: np.ndarray, others: np.ndarray) -> float:
    """The share of pairs in which the other's score is above the real one's, equal scores counting half."""
    order = np.sort(real)
    below, not_above = (np.searchsorted(order, others, side=side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(real)))


def logistic(x: np.ndarray, y: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Weights of a logistic regression by Newton's method, float [S + 1], the intercept last.

    They minimise the summed log loss plus half the penalty times the squares of all weights but the intercept.

    Args:
        x: float [N, S]. y: bool [N].
    """
    x = np.c_[x, np.ones(len(x))]
    ridge = np.r_[np.full(x.shape[1] - 1, penalty), 1e-9]  # where one class is missing the intercept has an end too
    weights = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (chance - y) + ridge * weights
        step = np.linalg.solve((x.T * (chance * (1 - chance))) @ x + np.diag(ridge), gradient)
        weights -= step
        if np.abs(step).max() < CONVERGED:
            break
    return weights


def _mean_sd(values: np.ndarray) -> tuple[float, float]:
    mean = float(values.mean()) if len(values) else float("nan")
    return mean, float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _shares(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two samples as shares of the same cells, each summing to 1."""
    top = max(one.max(), other.max())
    bandwidths = [_bandwidth(values) if values.std() > ALIKE * top else 0.0 for values in (one, other)]
    if min(bandwidths) > 0:
        low, high = -TAIL_BANDWIDTHS * max(bandwidths), top + TAIL_BANDWIDTHS * max(bandwidths)
        grid = np.linspace(low, high, GRID)
        p, q = (_density(values, width, grid) for values, width in zip((one, other), bandwidths, strict=True))
        return p, q
    values, cell = np.unique(np.round(np.r_[one, other] / max(top, 1e-300), 9), return_inverse=True)
    p, q = (np.bincount(cells, minlength=len(values)) for cells in np.split(cell, [len(one)]))
    return p / len(one), q / len(other)


def _bandwidth(values: np.ndarray) -> float:
    """Scott's bandwidth of a Gaussian kernel: the standard deviation times N to the power of -1/5."""
    return float(values.std(ddof=1)) * len(values) ** -0.2


def _density(values: np.ndarray, bandwidth: float, grid: np.ndarray) -> np.ndarray:
    """A kernel density as shares of the grid's cells: values shared among the two nearest points, then smoothed."""
    step = grid[1] - grid[0]
    place = (values - grid[0]) / step
    left = place.astype(int)
    counts = np.bincount(left, 1 - (place - left), len(grid)) + np.bincount(left + 1, place - left, len(grid))
    kernel = np.exp(-0.5 * (np.arange(1 - len(grid), len(grid)) * step / bandwidth) ** 2)
    size = 4 * len(grid)
    spectrum = np.fft.rfft(counts, size) * np.fft.rfft(kernel, size)
    smooth = np.maximum(np.fft.irfft(spectrum, size)[len(grid) - 1 :][: len(grid)], 0)
    return smooth / smooth.sum()


def _with_missing(table: np.ndarray) -> np.ndarray:
    """The columns that hold anything, and for each that misses some values one that says where."""
    missing = ~np.isfinite(table)
    some = missing.any(0) & ~missing.all(0)
    return np.c_[np.where(missing, np.nan, table)[:, ~missing.all(0)], missing[:, some]]


def _fold_auc(table: np.ndarray, ours: np.ndarray, rng: np.random.Generator) -> float:
    """The AUC over the pairs of pieces that are in one fold, each fold ranked by a classifier fitted on the others."""
    fold = np.empty(len(table), int)
    for members in (np.flatnonzero(ours), np.flatnonzero(~ours)):
        fold[rng.permutation(members)] = np.arange(len(members)) % FOLDS
    total = pairs = 0.0
    for number in range(FOLDS):
        test = fold == number
        count = int((test & ours).sum()) * int((test & ~ours).sum())
        if not count:
            continue
        x, y = _standardised(table[~test], table), ours
        weights = logistic(x[~test], y[~test])
        score = x @ weights[:-1]
        total += count * auc(score[test & ~y], score[test & y])
        pairs += count
    return total / pairs


def _standardised(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A table by the means and standard deviations of its training rows; what is missing is their mean, 0."""
    known = np.isfinite(train)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, train, 0).sum(0) / count
    spread = np.sqrt((np.where(known, train - mean, 0) ** 2).sum(0) / count)
    scaled = (table - mean) / np.where(spread > ALIKE * np.maximum(np.abs(mean), 1e-300), spread, np.inf)
    return np.nan_to_num(scaled, nan=0.0)


def _interval(value: float, real: int, others: int) -> tuple[float, float]:
    """Where an AUC may lie that was found to be `value`: those it is within 1.96 standard errors of (Newcombe 2006)."""
    extra = (real + others) / 2 - 1

    def error(true: np.ndarray) -> np.ndarray:
        spread = 1 + extra * (1 - true) / (2 - true) + extra * true / (1 + true)
        return np.sqrt(FOLDS_SHARE * true * (1 - true) * spread / (real * others))

    true = np.linspace(0, 1, 10_001)
    inside = true[np.abs(true - value) <= Z_95 * error(true)]
    return min(float(inside.min(initial=1.0)), value), max(float(inside.max(initial=0.0)), value)
