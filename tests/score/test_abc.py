"""ABC files: the tunes of one, and each tune as it is written."""

import pytest

from lstmusic.errors import ReadError
from lstmusic.score import abc
from lstmusic.score.remarks import Remarks

TWO = """\ufeff% a collection
C:Trad.
L:1/8
Notes by the editor | about these tunes.

X:7
T:One
M:6/8
K:G
D|G2A B2c|d3 g2:|

A remark between tunes
X:9
T:Two
M:C|
Q:1/4=90
K:Ador
A2 (3Bcd e>f a4|]
"""


def test_a_file_becomes_its_tunes_each_with_the_file_header():
    one, two = abc.tunes(TWO)
    assert one == "C:Trad.\nL:1/8\nX:7\nT:One\nM:6/8\nK:G\nD|G2A B2c|d3 g2:|\n"
    assert two.startswith("C:Trad.\nL:1/8\nX:9\nT:Two\n")
    assert abc.tunes(TWO.replace("\n", "\r\n")) == (one, two)


def test_an_empty_line_ends_a_tune_unless_bars_follow():
    tune = "X:1\nK:C\nCDEF|\n \nGABc|]\n\nThe end.\n"
    assert abc.tunes(tune) == ("X:1\nK:C\nCDEF|\nGABc|]\n",)


def test_a_text_without_reference_numbers_is_one_tune():
    assert abc.tunes("K:C\nCDEF|\n") == ("K:C\nCDEF|\n",)


def test_tunes_are_read_as_written():
    one, two = (abc.read(tune, "two.abc") for tune in abc.tunes(TWO))
    assert one.notes["pitch"].tolist() == [62, 67, 69, 71, 72, 74, 79]
    assert one.notes["duration_tick"].tolist() == [240, 480, 240, 480, 240, 720, 480]
    assert (one.meters.tolist(), one.keys.tolist(), one.pickup_tick) == ([(0, 6, 8)], [(0, 7, False)], 240)
    assert two.notes["duration_tick"].tolist() == [480, 160, 160, 160, 360, 120, 960]
    assert (two.meters.tolist(), two.keys.tolist()) == ([(0, 2, 2)], [(0, 9, True)])
    assert two.tempi["us_per_quarter"].tolist() == [666667]


def test_a_bar_that_is_too_long_is_no_change_of_meter():
    tune = "X:1\nM:2/4\nL:1/4\nK:C\nCD|EFG|AB|cd|]\n"
    assert abc.read(tune, "x").meters.tolist() == [(0, 2, 4)]


def test_a_change_of_meter_that_is_written_stays():
    tune = "X:1\nM:2/4\nL:1/4\nK:C\nCD|EF||\nM:3/4\nL:1/4\nC|GAB|cde|]\n"
    score = abc.read(tune, "x", remarks := Remarks())
    assert score.meters["numerator"].tolist() == [2, 3]
    assert not +remarks.losses


def test_a_change_that_music21_passes_over_is_counted():
    tune = "X:1\nM:2/4\nL:1/4\nK:C\nCD|EF|[M:3/4]GAB|cde|]\n"
    assert abc.read(tune, "x", remarks := Remarks()).meters.tolist() == [(0, 2, 4)]
    assert remarks.losses == {"changes of meter left out": 1}


def test_a_tune_without_a_meter_is_taken_for_common_time_and_counted():
    score = abc.read("X:1\nM:none\nL:1/4\nK:C\nCDEFG|A|]\n", "x", remarks := Remarks())
    assert score.meters.tolist() == [(0, 4, 4)]
    assert remarks.repairs == {"no meter, taken for 4/4": 1}


def test_what_is_left_out_is_counted():
    abc.read('X:1\nM:2/4\nL:1/8\nK:C\n|:"C"CD{e}EF:|:"^:|"GABc:|\n', "x", remarks := Remarks())
    assert remarks.losses == {"chord symbols left out": 1, "grace notes left out": 1, "repeat signs left out": 3}
    assert not +remarks.repairs


@pytest.mark.parametrize("tune", ["X:1\nK:C\nz4|\n", "X:1\nT:nothing\n", ""])
def test_a_tune_without_notes_is_a_read_error(tune):
    with pytest.raises(ReadError, match="x#3: "):
        abc.read(tune, "x#3")
