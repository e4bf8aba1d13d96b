"""Event <-> id: a bijection, bounded, as JSON."""

import json

import numpy as np
import pytest

from lstmusic.errors import VocabularyError
from lstmusic.events.vocabulary import Event, Vocabulary

SMALL = [("BOS", 0, 0), ("PITCH", 60, 62), ("SHIFT", 1, 2)]


def test_ranges_are_laid_end_to_end():
    vocabulary = Vocabulary(SMALL)
    expected = [("BOS", 0), ("PITCH", 60), ("PITCH", 61), ("PITCH", 62), ("SHIFT", 1), ("SHIFT", 2)]
    assert [vocabulary.event(i) for i in range(len(vocabulary))] == expected
    assert vocabulary.slice_of("PITCH") == slice(1, 4)


def test_every_id_is_one_event(codec):
    vocabulary = codec.vocabulary
    events = [vocabulary.event(i) for i in range(len(vocabulary))]
    assert len(set(events)) == len(vocabulary) == sum(high - low + 1 for _, low, high in vocabulary.ranges)
    assert [vocabulary.id(*event) for event in events] == list(range(len(vocabulary)))
    assert len(vocabulary) < 2**16  # ids are stored as uint16


def test_is_kind_and_values_agree_with_event(codec):
    ids = np.arange(len(codec.vocabulary))
    for kind, low, high in codec.vocabulary.ranges:
        mine = codec.vocabulary.is_kind(kind, ids)
        assert mine.tolist() == [codec.vocabulary.event(i).kind == kind for i in ids]
        assert codec.vocabulary.values(kind, ids[mine]).tolist() == list(range(low, high + 1))


def test_without_the_other_values_of_a_kind():
    vocabulary = Vocabulary([("A", 0, 1), ("B", 5, 7), ("C", 0, 0)])
    assert vocabulary.without_others("B", 6).tolist() == [True, True, False, True, False, True]
    assert vocabulary.without_others("C", 0).all()


def test_json_round_trip(codec):
    again = Vocabulary.from_json(json.loads(json.dumps(codec.vocabulary.to_json())))
    assert again == codec.vocabulary
    assert again != Vocabulary(SMALL)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda v: v.id("PITCH", 63), "PITCH 63..63: expected 60..62"),
        (lambda v: v.id("PITCH", 59), "PITCH 59..59: expected 60..62"),
        (lambda v: v.ids("SHIFT", np.array([1, 7])), "SHIFT 1..7: expected 1..2"),
        (lambda v: v.id("TEMPO", 1), "event kind 'TEMPO': expected one of BOS, PITCH, SHIFT"),
        (lambda v: v.event(6), "id 6: expected 0..5"),
        (lambda v: v.event(-1), "id -1: expected 0..5"),
    ],
)
def test_errors_quote_what_came_and_what_was_expected(act, message):
    with pytest.raises(VocabularyError) as error:
        act(Vocabulary(SMALL))
    assert str(error.value) == message


@pytest.mark.parametrize("ranges", [[("A", 2, 1)], [("A", 0, 1), ("A", 2, 3)]])
def test_a_table_that_is_no_bijection_is_refused(ranges):
    with pytest.raises(VocabularyError, match="expected low <= high and each kind once"):
        Vocabulary(ranges)


@pytest.mark.parametrize("ranges", [[["A", 0]], [["A", "x", 1]], 3, [3]])
def test_json_of_another_shape_is_refused(ranges):
    with pytest.raises(VocabularyError, match="expected rows of"):
        Vocabulary.from_json(ranges)


def test_an_event_prints_as_its_name():
    assert Event("NOTE_ON", 60) == ("NOTE_ON", 60)
    assert repr(Event("NOTE_ON", 60)) == "Event(kind='NOTE_ON', value=60)"
