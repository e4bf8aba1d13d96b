"""Damaged MIDI files through the whole preparation: every one has a verdict, none stops the run."""

import csv
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from lstmusic.corpus import sources, store
from lstmusic.score import Score, midi
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, PEDAL_DTYPE, TEMPO_DTYPE, Track, sorted_notes, table

MUTATIONS = runpy.run_path(str(Path(__file__).with_name("mutations.py")))
COUNT = 150
DEFECT = re.compile(r"^\w+(Error|Exception): |the parser died|took longer|needed more")


def song(seed: int) -> Score:
    """Three instruments, drums and pedal, with changes of tempo and meter."""
    rng = np.random.default_rng(seed)
    onset = np.sort(rng.integers(0, 64, 120)) * 120
    notes = table(NOTE_DTYPE, onset, 120 * rng.integers(1, 8, 120), 40 + rng.integers(0, 40, 120), 80, 0)
    notes["track"] = rng.integers(0, 4, 120)
    return Score(
        sorted_notes(notes),
        (Track(0), Track(33), Track(48), Track(0, True)),
        tempi=table(TEMPO_DTYPE, [0, 1920], [500_000, 400_000]),
        meters=table(METER_DTYPE, [0, 3840], [4, 3], [4, 4]),
        pedals=table(PEDAL_DTYPE, [240, 960], 0, [True, False]),
    ).canonical()


@pytest.fixture
def whole_files(tmp_path):
    """The bytes of a few whole MIDI files."""
    paths = [tmp_path / f"{seed}.mid" for seed in range(4)]
    for seed, path in enumerate(paths):
        midi.write(song(seed), path)
    return [path.read_bytes() for path in paths]


def test_a_mutation_follows_from_its_seed_and_number(whole_files):
    made = [MUTATIONS["mutation"](whole_files, 3, number) for number in range(40)]
    assert made == [MUTATIONS["mutation"](whole_files, 3, number) for number in range(40)]
    assert {name.split("+")[0] for name, _ in made} == set(MUTATIONS["KINDS"])
    assert sum(data in whole_files for _, data in made) <= 4


def test_every_damaged_file_has_a_verdict(whole_files, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number in range(COUNT):
        kind, data = MUTATIONS["mutation"](whole_files, 0, number)
        (folder / f"{number:05d}-{kind}.mid").write_bytes(data)
    source = sources.folder(folder, tmp_path / "cache")
    corpus = store.prepare(source, "metrical", {}, cache=tmp_path / "cache", jobs=1)
    rows = list(csv.DictReader((corpus.folder / "files.csv").open(newline="")))
    assert [row["file"] for row in rows] == [path.name for path in sorted(folder.iterdir())]
    verdicts = {
        verdict: [row for row in rows if row["verdict"] == verdict] for verdict in ("used", "repaired", "skipped")
    }
    assert sum(map(len, verdicts.values())) == COUNT
    assert all(len(some) >= COUNT // 20 for some in verdicts.values()), {k: len(v) for k, v in verdicts.items()}
    assert all(row["reason"] for row in verdicts["skipped"])
    assert not [row for row in rows if DEFECT.search(row["reason"])]
