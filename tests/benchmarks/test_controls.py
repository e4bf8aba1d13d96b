"""table=controls: what is asked is what is typed, each measure is taken from the songs, and the picture shows the rows."""

import math

import numpy as np
import pytest

from lstmusic import config as configs
from lstmusic.benchmarks import control_cases, controls, controls_figure
from lstmusic.benchmarks.control_cases import BARS, Case
from lstmusic.benchmarks.song_writing import Written
from lstmusic.commands.generate import arguments_of
from lstmusic.events import codec as codecs
from lstmusic.writing import Song


def cases_of(name: str, **options) -> list[Case]:
    return control_cases.cases(codecs.build(name, **options), 0.5)


def songs_of(*scores, **facts) -> list[Song]:
    return [Song(score, np.zeros(8, int), True, **facts) for score in scores]


@pytest.mark.parametrize("name", ["chorale", "performance"])
def test_a_setting_as_it_is_typed_is_what_is_asked_of_the_model(name):
    """But for the length of the songs, and whether they look for a cadence, which are the same beside it."""
    usual = arguments_of(configs.compose("generate", []).config)
    for case in cases_of(name, conditions=True):
        typed = arguments_of(configs.compose("generate", case.setting.split(" ")).config)
        changed = {key: value for key, value in typed.items() if value != usual[key]}
        asked = {key: value for key, value in case.how.items() if key in changed or case.beside.get(key) != value}
        assert {key: typed[key] for key in asked} == asked, case.setting
        assert set(changed) <= set(case.how), case.setting
        assert case.how != case.beside


def test_controls_that_an_encoding_has_nothing_for_are_left_out():
    every = {"temperature by kind", "curve", "auto", "end", "cadence", "loops", "repetition"}
    steered = {"key", "range", "polyphony"}
    conditions = {"density", "pitch classes"}
    assert {case.control for case in cases_of("frames")} == every
    assert {case.control for case in cases_of("chorale")} == every | steered | {"parallels"}
    assert {case.control for case in cases_of("performance", conditions=True)} == every | steered | conditions
    assert "polyphony" not in {case.control for case in cases_of("melody")}
    assert not any("velocity" in case.setting for case in cases_of("chorale"))
    assert any("velocity" in case.setting for case in cases_of("metrical"))


def value_of(control: str, songs: list[Song], *, measure: str = "", name: str = "chorale", **options) -> float:
    """What the first case of a control finds in songs."""
    found = [case for case in cases_of(name, **options) if case.control == control and measure in case.measure]
    return found[0].of(songs)


def test_measures_are_means_over_songs(score_of):
    def tune(*pitches, bars=1, **options):
        quarters = BARS * 4 * bars
        return score_of([(0, 480 * int(quarters), pitch, 80, 0) for pitch in pitches], **options)

    assert value_of("key", songs_of(tune(60), tune(61, 62))) == 0.75
    assert value_of("polyphony", songs_of(tune(60), tune(60, 64, 67))) == 3
    chords = ((67, 64, 60, 48), (69, 64, 60, 50))  # G4-C3 and A4-D3: a parallel fifth in two beats
    rows = [(480 * k, 480, pitch, 80, voice) for k in (0, 1) for voice, pitch in enumerate(chords[k])]
    assert value_of("parallels", songs_of(score_of(rows), tune(60))) == 50  # not of what has no voices
    assert value_of("parallels", songs_of(score_of(rows)), measure="octaves") == 0
    assert value_of("end", songs_of(tune(60), tune(60, bars=2))) == 0.5
    assert value_of("end", songs_of(tune(60, bars=2)), name="metrical") == 0  # its last note begins in the first bar
    assert value_of("end", songs_of(tune(60), tune(60, bars=0.5)), name="performance") == 0.5  # at 120: 16 s and 8 s
    assert value_of("density", songs_of(tune(60), tune(60, 64, 67)), conditions=True) == 2 / BARS
    pentatonic = songs_of(tune(60, 62, 64, 67, 69), tune(61, 61))
    assert value_of("pitch classes", pentatonic, conditions=True) == pytest.approx(0.5)  # all of it, none of it
    assert value_of("cadence", songs_of(tune(60, key=(0, False)), tune(60)), measure="tonic") == 1
    assert value_of("cadence", songs_of(tune(60)), measure="last note") == 4 * BARS
    assert value_of("repetition", songs_of(tune(60))) == 0


def test_a_measure_without_values_is_not_a_number(score_of):
    assert math.isnan(value_of("cadence", songs_of(score_of([(0, 480, 60, 80, 0)])), measure="tonic"))


def test_nats_of_the_ending_and_loops_are_told_by_the_songs(phrase):
    nats = np.array([9.0, 9, 9, 9, 3, 0, 0, 0])
    assert value_of("cadence", songs_of(phrase(), nats=nats), measure="nats") == 3
    assert value_of("loops", songs_of(phrase(), report={"loops": 0.2}) + songs_of(phrase(), report={"loops": 0})) == 0.5


def test_loops_are_also_told_from_the_notes(score_of):
    songs = songs_of(*(score_of([(1920 * k, 480, 60, 80, 0) for k in range(bars)]) for bars in (3, 4)))
    assert value_of("loops", songs, measure="times") == 0.5


def test_rows_hold_songs_with_a_control_against_songs_without(tiny_checkpoint, monkeypatch, phrase, score_of):
    written = []
    chord = score_of([(0, 480, pitch, 80, 0) for pitch in (60, 64, 67, 72)])
    plain = {"cadence": False, "length_bars": 8}

    def write(checkpoint, songs, **how):
        written.append(how)
        return Written(songs_of(*[chord if how == plain else phrase()] * songs), 1.0)

    monkeypatch.setattr(controls, "write", write)
    monkeypatch.setattr(controls, "cases", lambda codec, held_out: control_cases._polyphony(codec))
    notes = []
    rows = list(controls.rows(note=notes.append, models=[tiny_checkpoint("chorale")], songs=3))
    assert [row["asked"] for row in rows] == [3, 2, 1]
    assert {(row["without"], row["with"]) for row in rows} == {(4, 4)}
    assert rows[0]["setting"] == "control.polyphony=3" and notes[0].endswith(": control.polyphony=3")
    assert written.count(plain) == 1 and len(written) == 4  # those without the control are written once
    assert list(controls.summary(rows)[0]) == ["model", "control", "setting", "measure", "asked", "without", "with"]


def test_auto_is_left_out_where_nobody_knows_the_nats_of_held_out_music():
    known, unknown = (control_cases.cases(codecs.build("chorale"), held_out) for held_out in (0.5, None))
    assert [case.setting for case in known if case.setting not in {one.setting for one in unknown}] == [
        "temperature=auto"
    ]
    assert len(known) == len(unknown) + 1


def test_auto_is_calibrated_once(tiny_checkpoint, monkeypatch, phrase):
    found, written = [], []
    checkpoint = tiny_checkpoint("chorale")

    def calibrated(sampling):
        found.append(sampling)
        return 0.9

    def write(checkpoint, songs, **how):
        written.append(how.get("temperature", 1.0))
        return Written(songs_of(phrase(), nats=np.zeros(0)), 1.0)

    monkeypatch.setattr(controls.opened(checkpoint), "calibrated_temperature", calibrated)
    monkeypatch.setattr(controls, "write", write)
    monkeypatch.setattr(controls, "cases", lambda codec, held_out: [control_cases._auto(codec, held_out)])
    monkeypatch.setattr(control_cases, "nats_per_token", lambda *args: 1.0)
    (row,) = controls.rows(models=[checkpoint], songs=40)
    assert len(found) == 1
    assert written == [1.0, 0.9]
    assert row["asked"] == 3.0  # what the folder says of held-out music


@pytest.fixture
def rows():
    """Rows of every case of two models."""
    rng = np.random.default_rng(0)
    return [
        {
            "model": f"a {name}",
            "encoding": name,
            "control": case.control,
            "setting": case.setting,
            "measure": case.measure,
            "asked": case.asked,
            "without": rng.random() + 0.1,
            "with": rng.random() + 0.1,
        }
        for name in ("chorale", "performance")
        for case in cases_of(name, conditions=True)
    ]


def test_the_picture_shows_the_rows(rows, tmp_path):
    path = controls.draw(rows, tmp_path)
    assert path == tmp_path / "controls.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    for control in ("key", "density"):
        own = [row for row in rows if row["control"] == control]
        before = controls.draw(own, tmp_path).read_bytes()
        assert controls.draw([{**own[0], "with": 1.9}, *own[1:]], tmp_path).read_bytes() != before


def test_panels_and_what_stands_beside_their_rows(rows):
    panels = {controls_figure._panel(row) for row in rows}
    assert ("curve", "nats per token") in panels
    assert ("pitch classes", "distance") in panels
    names = {controls_figure._setting(row) for row in rows}
    assert {"key=C key_weight=2", "bars 1 to 8", "from F# major", "range", "seconds=16", "temperature=auto"} <= names
