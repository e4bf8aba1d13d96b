"""The longest shared run of every place, against looking at every pair of places."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.evaluation.shared_runs import longest_runs

CLASSES = 3
TEXT_END, QUERY_END = 240, 243  # upper parts 80 and 81


def runs(text, query):
    return longest_runs(
        np.array([*text, TEXT_END], np.uint8), np.array([*query, QUERY_END], np.uint8), CLASSES
    ).tolist()


def reference(text, query):
    """The same by looking at every pair of places, one symbol after the other."""
    out = []
    for start in range(len(query)):
        best = 0
        for place in range(len(text)):
            count = 0
            for first, second in zip(text[place:], query[start:], strict=False):
                count += first // CLASSES == second // CLASSES
                if first != second:
                    break
            best = max(best, count)
        out.append(best)
    return [*out, 0]


def test_by_hand():
    text = [3, 6, 9, 12]
    assert runs(text, [6, 9, 14, 3, 3]) == [3, 2, 1, 1, 1, 0]  # 14 is 12 by its upper part; the run ends with it
    assert runs(text, [12, 3]) == [1, 1, 0]  # nothing goes on beyond the end of the text
    assert runs(text, [15]) == [0, 0]
    assert runs([], [3]) == [0, 0]
    assert runs([3], []) == [0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_strings(data):
    symbols = st.integers(0, 8).map(lambda symbol: 2 * symbol)  # few, so that runs are long
    text = data.draw(st.lists(symbols, max_size=60))
    query = data.draw(st.lists(symbols, max_size=30))
    for _ in range(data.draw(st.integers(0, 3))):  # and longer ones: a stretch of the text in the query
        start = data.draw(st.integers(0, len(text)))
        at = data.draw(st.integers(0, len(query)))
        query[at:at] = text[start : start + data.draw(st.integers(0, 40))]
    assert runs(text, query) == reference(text, query)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 70), st.integers(0, 70), st.integers(1, 3))
def test_one_pattern_again_and_again(in_text, in_query, period):
    pattern = [3 * k for k in range(period)]
    text, query = (pattern * 70)[:in_text], (pattern * 70)[:in_query]
    assert runs(text, query) == reference(text, query)


def test_a_whole_string_within_the_other():
    rng = np.random.default_rng(0)
    text = rng.integers(0, 200, 5000).tolist()
    assert runs(text, text[1000:3000])[:3] == [2000, 1999, 1998]
