"""Splits: seeded, 80/10/10, families together."""

from collections import Counter

import pytest

from lstmusic.corpus import split


def test_eighty_ten_ten():
    counts = Counter(split.assign([f"family {k}" for k in range(200)], seed=0))
    assert counts == {"train": 160, "valid": 20, "test": 20}


def test_the_seed_decides_and_nothing_else():
    families = [f"family {k}" for k in range(50)]
    first = split.assign(families, seed=3)
    assert split.assign(families, seed=3) == first
    assert split.assign(families, seed=4) != first


def test_the_order_of_the_pieces_does_not_matter():
    families = [f"family {k % 30}" for k in range(60)]
    of = dict(zip(families, split.assign(families, seed=0), strict=True))
    again = dict(zip(families[::-1], split.assign(families[::-1], seed=0), strict=True))
    assert of == again


def test_a_family_stays_together():
    families = [f"family {k % 17}" for k in range(100)]
    by_family = {}
    for family, name in zip(families, split.assign(families, seed=1), strict=True):
        by_family.setdefault(family, set()).add(name)
    assert all(len(names) == 1 for names in by_family.values())
    assert Counter(name for names in by_family.values() for name in names) == {"train": 13, "valid": 2, "test": 2}


@pytest.mark.parametrize(("families", "expected"), [(1, {"train": 1}), (2, {"train": 2})])
def test_too_few_for_a_split_are_all_for_training(families, expected):
    assert Counter(split.assign([str(k) for k in range(families)], seed=0)) == expected


@pytest.mark.parametrize("families", [3, 4, 5, 9])
def test_valid_and_test_have_a_piece_each_where_there_are_three(families):
    counts = Counter(split.assign([str(k) for k in range(families)], seed=0))
    assert counts == {"train": families - 2, "valid": 1, "test": 1}


def test_some_are_drawn_evenly():
    assert split.evenly("abcdefghij", 4) == ["a", "c", "f", "h"]
    assert split.evenly("abc", 3) == split.evenly("abc", 9) == ["a", "b", "c"]
    assert split.evenly("", 2) == []
