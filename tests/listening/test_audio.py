"""Sound: in time, as loud as it should be, never clipped; SoundFonts that are none are refused."""

import shutil
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.errors import MissingFileError, OutputError, ReadError
from lstmusic.listening import audio, synthesis
from lstmusic.listening import soundfont as sf
from lstmusic.score.score import NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table


@pytest.fixture(scope="module")
def font():
    return sf.load(sf.bundled_path())


def first_sound(mix, start):
    """Frames from `start` to the first that is louder than a thousandth of the loudest."""
    return int(np.argmax(np.abs(mix[:, start:]).max(0) > np.abs(mix).max() / 1000))


def test_onsets_follow_the_tempo_map(melody, font):
    rows = [(960 * k, 240, 72, 100) for k in range(10)]
    score = melody(rows, tempi=[(0, 500_000), (3840, 250_000), (5760, 1_200_000)], program=12)
    sound = synthesis.play(score, font, 44100, 1.0)
    onset_s = score.seconds(score.notes["onset_tick"])
    assert onset_s[5] == pytest.approx(4.0 + 0.5)
    for onset in np.rint(onset_s * 44100).astype(int).tolist():
        before = np.abs(sound[:, max(onset - 400, 0) : onset]).max() if onset else 0.0
        assert before < 0.02 * np.abs(sound).max()
        assert first_sound(sound, onset) < 441  # within 10 ms


def test_velocity_and_pitch_are_heard(melody, font):
    def loudness(velocity, pitch=60):
        return np.abs(synthesis.play(melody([(0, 480, pitch, velocity)]), font, 44100, 0.5)).max()

    assert loudness(64) == pytest.approx(loudness(127) * (64 / 127) ** 2, rel=1e-3)
    organ = synthesis.play(melody([(0, 1920, 69, 100)], program=73), font, 44100, 0.5)[0, 22050:66150]
    peak_hz = np.argmax(np.abs(np.fft.rfft(organ * np.hanning(len(organ)), 44100)))
    assert min(abs(peak_hz - 440 * k) for k in (1, 2)) <= 4


def test_notes_end(melody, font):
    sound = synthesis.play(melody([(0, 480, 60, 100), (3840, 10, 60, 1)], program=19), font, 44100, 1.0)
    held, after = np.abs(sound[:, 10_000:20_000]).max(), np.abs(sound[:, 90_000:170_000]).max()
    assert after < held / 1000


def test_render_is_level_finite_and_the_same_again(chorale):
    for program in (0, 19, 52):
        score = chorale(4, program)
        sound = audio.render(score)
        assert sound.dtype == np.float32 and sound.shape == (int((score.length_s + audio.TAIL_S) * 44100), 2)
        assert np.isfinite(sound).all() and np.abs(sound).max() <= audio.CEILING
        assert audio.gated_rms(sound.T, 44100) == pytest.approx(10 ** (audio.LOUDNESS_DB / 20), rel=0.06)
        assert not sound[-1].any()
        assert np.array_equal(sound, audio.render(score))


def test_a_score_without_notes_is_silence():
    score = Score(np.zeros(0, NOTE_DTYPE), (Track(),))
    assert not audio.render(score).any()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(*(st.integers(*span) for span in ((0, 2000), (1, 900), (0, 127), (1, 127), (0, 2)))),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 127),
    st.integers(1000, 2_000_000),
)
def test_any_notes_render(rows, program, us_per_quarter):
    columns = (np.array(column) for column in zip(*rows, strict=True))
    tracks = (Track(program), Track(0, drum=True), Track(127))
    tempi = table(TEMPO_DTYPE, [0], [us_per_quarter])
    sound = audio.render(Score(sorted_notes(table(NOTE_DTYPE, *columns)), tracks, tempi=tempi), sample_rate=8000)
    assert np.isfinite(sound).all() and np.abs(sound).max() <= audio.CEILING


def test_a_note_of_many_minutes_takes_little_memory(melody, font):
    score = melody([(0, 600_000, 60, 100), (480, 240, 64, 100)], program=19)
    sound = synthesis.play(score, font, 8000, 1.0)
    longest = int(synthesis.LONGEST_NOTE_S * 8000)
    assert sound[:, longest - 8000 : longest].any() and not sound[:, longest + 80_000 :].any()


def test_a_score_of_days_is_refused(melody):
    with pytest.raises(OutputError, match="3600"):
        audio.render(melody([(0, 10_000_000, 60, 100)]))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_files_come_back(chorale, tmp_path, suffix):
    sound = audio.render(chorale(1))
    path = audio.write_audio(sound, tmp_path / f"song.of.one{suffix}")
    back, rate = soundfile.read(path, always_2d=True)
    assert rate == 44100 and abs(len(back) - len(sound)) < 5000
    assert np.abs(back).max() == pytest.approx(np.abs(sound).max(), rel=0.2) and np.abs(back).max() < 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".wav":
        assert soundfile.info(path).subtype == "PCM_16"
        assert np.abs(back - sound).max() < 1 / 32767


def test_what_cannot_be_written(tmp_path):
    sound = np.zeros((100, 2), np.float32)
    with pytest.raises(OutputError, match=r"'\.midi'"):
        audio.write_audio(sound, tmp_path / "song.midi")
    with pytest.raises(OutputError, match="nowhere"):
        audio.write_audio(sound, tmp_path / "nowhere" / "song.wav")


def test_soundfonts_that_are_none(chorale, tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.sf2"):
        audio.render(chorale(1), soundfont=tmp_path / "none.sf2")
    wrong = tmp_path / "wrong.sf2"
    for content in (b"", b"MThd" * 40, b"RIFF\0\0\0\0sfbk", b"RIFF\0\0\0\0sfbkLIST\xff\xff\xff\xffsdta"):
        wrong.write_bytes(content)
        with pytest.raises(ReadError, match="SoundFont"):
            audio.render(chorale(1), soundfont=wrong)
    with pytest.raises(ReadError):
        audio.render(chorale(1), soundfont=tmp_path)


def test_torn_soundfonts_never_end_the_process(chorale, tmp_path):
    whole = sf.bundled_path().read_bytes()
    tables_at = whole.index(b"phdr")
    random = np.random.default_rng(0)
    for trial in range(25):
        torn = bytearray(whole[:tables_at][:40_000] + whole[tables_at:])
        struct.pack_into("<I", torn, torn.index(b"smpl") + 4, 0)  # sample data that the tables point far beyond
        torn = bytearray(whole) if trial % 2 else torn
        for place in random.integers(tables_at, len(whole), 300).tolist():
            torn[min(place, len(torn) - 1)] = int(random.integers(256))
        path = tmp_path / f"{trial}.sf2"
        path.write_bytes(torn)
        try:
            sound = audio.render(chorale(1), soundfont=path, sample_rate=8000)
            assert np.isfinite(sound).all() and np.abs(sound).max() <= audio.CEILING
        except ReadError:
            pass


def test_fluidsynth_is_missed_by_name(chorale, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingFileError, match="fluidsynth"):
        audio.render(chorale(1), fluidsynth=True)


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="no fluidsynth program")
def test_fluidsynth_plays_the_same(chorale):
    ours, theirs = audio.render(chorale(2)), audio.render(chorale(2), fluidsynth=True)
    assert ours.shape == theirs.shape
    assert audio.gated_rms(theirs.T, 44100) == pytest.approx(audio.gated_rms(ours.T, 44100), rel=0.2)
