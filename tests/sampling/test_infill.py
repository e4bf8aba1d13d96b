"""Gaps: filled by the model in view of what follows them; what is given comes out as it was."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from lstmusic.errors import ConfigError, GenerationError
from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.events import codec as codecs
from lstmusic.events.chorale_grammar import EOS, HOLD, REST, VOCABULARY
from lstmusic.models.frame_model import FrameModel
from lstmusic.sampling import songs as songs_module
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.infill import infill, systematic
from lstmusic.sampling.settings import SamplingSettings

BAR = 1920  # ticks


def generators(seed, songs):
    return [np.random.default_rng((seed, i)) for i in range(songs)]


def filled(model, codec, given, *, seed=0, songs=2, particles=16, controls=None, **settings):
    settings = SamplingSettings(**settings)
    return infill(
        model,
        codec.grammar,
        given,
        generators(seed, songs),
        settings=settings,
        particles=particles,
        controls=controls,
    )


def outside(score, start, end):
    """The notes that sound at some time outside the gap, each with its instrument."""
    notes = score.notes
    stay = notes[(notes["onset_tick"] < start) | (notes["onset_tick"] + notes["duration_tick"] > end)]
    return [(*note, score.tracks[track]) for *note, track in stay.tolist()]


def sharpened(model, factor=3.0):
    """The same model with larger weights: what it has read matters to it."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(factor)
    return model


def a_model(codec, tiny_model):
    if codec.name != "frames":
        return sharpened(tiny_model(codec), 3.0 if codec.name == "chorale" else 1.0)
    torch.manual_seed(0)
    sizes = {"num_keys": 88, "hidden_size": 12, "num_layers": 1, "embedding_size": 8}
    return FrameModel(num_ids=6, up_ids=[0, 2], down_ids=[1, 3], **sizes).eval()


ENCODINGS = {
    "chorale": {},
    "canonical": {"strikes": False},
    "told": {"conditions": True},
    "frames": {"frames_per_quarter": 1},
    "performance": {},
    "metrical": {},
    "melody": {},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_songs_keep_what_is_given_and_their_nats_are_those_of_the_piece(encoding, tiny_model, phrase):
    name = encoding if encoding not in ("canonical", "told") else "chorale"
    codec, particles = codecs.build(name, **ENCODINGS[encoding]), 20
    model, ids = a_model(codec, tiny_model), codec.encode(phrase(5)).astype(np.int64)
    given = codec.given(ids, BAR, BAR + 960)
    asked = Controls(density=20.0) if codec.grammar.conditions else None
    songs = filled(model, codec, given, particles=particles, controls=asked)
    for song in songs:
        codec.grammar.check(song.ids)
        assert song.ids[: len(given.prefix)].tolist() == given.prefix.tolist()
        assert outside(codec.decode(song.ids), BAR, BAR + 960) == outside(codec.decode(ids), BAR, BAR + 960)
        assert len(song.nats) == len(song.ids) - len(given.prefix)
        read = np.isfinite(song.nats)
        assert read.argmin() == read.sum() > 0  # the model read no further than the horizon,
        after = codec.grammar.length(codec.grammar.trajectory(song.ids))[0][len(given.prefix) + read.sum()]
        assert 3.5 <= after <= 3.75  # which lies two bars past the gap
        nats = piece_nats(model, codec, song.ids)[-len(song.nats) :]
        assert song.nats[read] == pytest.approx(nats[read], abs=1e-4)
        if codec.name in ("chorale", "frames"):  # elsewhere too many ids are left out for each to be tried
            reference = forced_nats(model, codec, given, song, read.sum())
            assert song.forced_nats == pytest.approx(reference, abs=1e-3)
        assert 1 - 1e-9 <= song.effective <= particles + 1e-9


@torch.no_grad()
def forced_nats(model, codec, given, song, num_read):
    """-log of what the mask leaves at each id, by the nats of pieces in which other ids stand there."""
    states = codec.grammar.trajectory(song.ids)
    allowed, left = codec.grammar.allowed(states), given.mask(states)
    allowed[:, codec.vocabulary.id("EOS")] &= codec.name != "frames"  # its model does not say when a piece ends
    total = 0.0
    for place in range(len(given.prefix), len(given.prefix) + num_read):
        if (allowed[place] == left[place]).all():
            continue
        if left[place].sum() == 1:
            total += song.nats[place - len(given.prefix)]
            continue
        whole = slice(place - place % codec.group_size + codec.group_size)
        lost = 0.0
        for other in np.flatnonzero(allowed[place] & ~left[place]):
            changed = song.ids[whole].copy()
            changed[place] = other
            lost += np.exp(-piece_nats(model, codec, changed)[place - codec.group_size])
        total -= np.log1p(-lost)
    return total


def test_fills_come_as_often_as_the_model_finds_them_likely_in_view_of_what_follows(tiny_model):
    """One free cell before a few given steps: the chances of all that may stand there are worked out one by one."""
    codec = codecs.build("chorale", strikes=False)
    model = sharpened(tiny_model(codec), 1.4)
    c, e, g = (VOCABULARY.id("PITCH", pitch) for pitch in (60, 64, 67))
    header = [VOCABULARY.id(kind, value) for kind, value in (("METER", 0), ("POSITION", 0), ("TEMPO", 30), ("KEY", 0))]
    music = [[g, e, e, c], [REST, HOLD, HOLD, HOLD], [e, g, g, e], [g, e, e, c], [EOS] * 4]
    ids = np.array([[0] * 4, header, *music]).reshape(-1)
    given = codec.given(ids, 120, 240, keep=("Alto", "Tenor", "Bass"))
    place = 12
    state = codec.grammar.trajectory(ids)[place : place + 1]
    choices = np.flatnonzero(given.mask(state)[0])
    nats = []
    for choice in choices:
        whole = ids.copy()
        whole[place] = choice
        nats.append(piece_nats(model, codec, whole))
    nats = np.array(nats)
    chance, blind = softmax(-nats.sum(axis=1)), softmax(-nats[:, place - 4])
    assert np.abs(chance - blind).sum() > 1.2  # what follows matters
    songs = filled(model, codec, given, songs=80, particles=48)
    came = np.bincount([song.ids[place] for song in songs], minlength=len(VOCABULARY))[choices] / len(songs)
    assert np.abs(came - chance).sum() < 0.6
    assert np.abs(came - blind).sum() > 1.0


def test_a_song_depends_on_its_generator_alone(tiny_model, phrase):
    codec = codecs.build("chorale")
    model, ids = sharpened(tiny_model(codec)), codec.encode(phrase(4)).astype(np.int64)
    given = codec.given(ids, BAR, 2 * BAR)
    together = filled(model, codec, given, songs=3)
    alone = infill(model, codec.grammar, given, generators(0, 3)[2:], settings=SamplingSettings(), particles=16)
    assert alone[0].ids.tolist() == together[2].ids.tolist() != together[1].ids.tolist()
    assert alone[0].nats.tobytes() == together[2].nats.tobytes()


def test_voices_that_are_kept_come_out_as_they_were(tiny_model, phrase):
    codec = codecs.build("chorale")
    model, ids = sharpened(tiny_model(codec)), codec.encode(phrase(2)).astype(np.int64)
    given = codec.given(ids, 0, 2 * BAR, keep=("Soprano",))
    (song,) = filled(model, codec, given, songs=1)
    before, after = (codec.decode(piece).notes for piece in (ids, song.ids))
    assert after[after["track"] == 0].tolist() == before[before["track"] == 0].tolist()
    assert after[after["track"] > 0].tolist() != before[before["track"] > 0].tolist()
    assert np.isfinite(song.nats).all()  # something is free to the end


def test_controls_steer_what_is_free_and_leave_what_is_given(tiny_model, phrase):
    codec = codecs.build("chorale")
    model, ids = tiny_model(codec), codec.encode(phrase(3)).astype(np.int64)
    given = codec.given(ids, BAR, 2 * BAR)
    (song,) = filled(model, codec, given, songs=1, controls=Controls(ranges={"all": (90, 92)}))
    score = codec.decode(song.ids)
    assert outside(score, BAR, 2 * BAR) == outside(codec.decode(ids), BAR, 2 * BAR)
    new = [note for note in score.notes.tolist() if BAR <= note[0] < 2 * BAR]
    assert new and all(90 <= note[2] <= 92 for note in new)
    assert song.overruled == 0  # nobody counts what is given


def test_a_greedy_gap_is_the_same_whatever_the_generator(tiny_model, phrase):
    codec = codecs.build("chorale")
    model, ids = sharpened(tiny_model(codec)), codec.encode(phrase(3)).astype(np.int64)
    first, second = filled(model, codec, codec.given(ids, BAR, 2 * BAR), greedy=True)
    assert first.ids.tolist() == second.ids.tolist()
    assert first.effective == pytest.approx(16)


def test_where_nothing_is_free_or_written_that_is_told(tiny_model, phrase):
    codec = codecs.build("chorale")
    model, ids = tiny_model(codec), codec.encode(phrase(2)).astype(np.int64)
    with pytest.raises(ConfigError, match="nothing to write: every note in the gap sounds outside it"):
        filled(model, codec, codec.given(ids, 240, 360))  # in the middle of quarters
    for particles in (0, 5000):
        with pytest.raises(ConfigError, match=f"particles={particles}: expected 1 to 1024"):
            filled(model, codec, codec.given(ids, 0, BAR), particles=particles)


@pytest.mark.parametrize(
    ("weights", "uniform", "expected"),
    [
        ((0.25, 0.25, 0.25, 0.25), 0.0, [0, 1, 2, 3]),
        ((0.5, 0.0, 0.5, 0.0), 0.9, [0, 0, 2, 2]),
        ((0.6, 0.1, 0.1, 0.2), 0.5, [0, 0, 1, 3]),  # places 0.125, 0.375, 0.625 and 0.875 of 0.6, 0.7, 0.8, 1
        ((0.0, 0.0, 1.0), np.nextafter(1.0, 0.0), [2, 2, 2]),
    ],
)
def test_particles_go_on_as_often_as_they_weigh(weights, uniform, expected):
    assert systematic(np.array(weights), uniform).tolist() == expected


def test_a_way_that_never_moves_on_in_time_is_given_up(tiny_model, phrase, monkeypatch):
    codec = codecs.build("metrical")
    model, ids = tiny_model(codec), codec.encode(phrase(3)).astype(np.int64)
    given = codec.given(ids, BAR, BAR + 960)
    monkeypatch.setattr(songs_module, "MAX_IDS_AT_REST", 8)  # more than one note at a time is too much
    with pytest.raises(GenerationError, match="no way through the gap was found"):
        filled(model, codec, given, songs=1)
