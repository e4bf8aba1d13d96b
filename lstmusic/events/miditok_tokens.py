"""What a MidiTok tokenizer is made of: its text, its ids as one vocabulary, and which types may follow which."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.miditok_grammar import Meanings, MidiTokGrammar
from lstmusic.events.vocabulary import Vocabulary

SPECIAL = ("PAD", "BOS", "EOS", "MASK")
NOTE_HEADS = ("Pitch", "PitchDrum", "PitchIntervalTime", "PitchIntervalChord", "NoteOn", "DrumOn")
NOTE_PARTS = (*NOTE_HEADS, "NoteOff", "DrumOff", "Velocity", "Duration", "Pattern")
# The kinds that stand together in CPWord's steps, by the type that MidiTok's graph knows a step by; the rest is ignored
CPWORD = {
    "Bar": ("Metric", "Bar", "TimeSig"),
    "Position": ("Metric", "Position", "Tempo"),
    **{pitch: ("Note", pitch, "Velocity", "Duration", "Program") for pitch in ("Pitch", "PitchDrum")},
}
LEARNED = "BPE"
MAX_IDS = 2**16  # what 16 bits hold
NOTHING = [("PAD", "")]


class Id(NamedTuple):
    """One id of a tokenizer: its kind in lstmusic's vocabulary, and what it stands for, each as kind and value."""

    kind: str
    tokens: list[tuple[str, str]]


class Parts(NamedTuple):
    """What a tokenizer's text makes.

    Attributes:
        tokenizer: MidiTok's.
        offsets: int64 [G], what is added to an id of each of its vocabularies.
        borders: the ids that stand for nothing but the border of what MidiTok learned within; legal nowhere.
    """

    tokenizer: Any
    vocabulary: Vocabulary
    grammar: MidiTokGrammar
    offsets: np.ndarray
    borders: np.ndarray


def text_of(tokenizer: str) -> str:
    """The text of a tokenizer's file; a text stays as it is."""
    if tokenizer.lstrip().startswith("{"):
        return tokenizer
    if not Path(tokenizer).is_file():
        raise ConfigError(f"encoding.tokenizer={tokenizer}: no such file")
    return Path(tokenizer).read_text()


@lru_cache(maxsize=4)
def default_text(name: str) -> str:
    """The text of MidiTok's default tokenizer with programs and tempi."""
    miditok = _library()
    with tempfile.TemporaryDirectory() as folder:
        config = miditok.TokenizerConfig(use_programs=True, use_tempos=True)
        getattr(miditok, name)(config).save(Path(folder) / "tokenizer.json")
        return (Path(folder) / "tokenizer.json").read_text()


def _library() -> Any:
    try:
        import miditok
    except ImportError as error:
        raise ConfigError("encoding=miditok: not installed; pip install 'lstmusic[miditok]'") from error
    return miditok


@lru_cache(maxsize=4)
def open_text(name: str, text: str) -> Parts:
    """Make a tokenizer of its text, and what lstmusic needs to know about it."""
    miditok = _library()
    try:
        found = json.loads(text).get("tokenization")
        if found != name:
            raise ConfigError(f"encoding.tokenizer: a tokenizer of {found}, expected one of encoding.name={name}")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "tokenizer.json"
            file.write_text(text)
            tokenizer = getattr(miditok, name)(params=file)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"encoding.tokenizer: no tokenizer that MidiTok has saved ({error!r:.80})") from error
    if not tokenizer.is_multi_voc and len(tokenizer) > MAX_IDS:
        raise ConfigError(f"encoding.tokenizer: {len(tokenizer)} ids, expected at most {MAX_IDS}")
    if not tokenizer.one_token_stream:
        raise ConfigError("encoding.tokenizer: a stream for each track, expected one for all (use_programs)")
    vocabularies = tokenizer.vocab if tokenizer.is_multi_voc else [tokenizer.vocab]
    members = [_tokens(tokenizer, names, k) for k, names in enumerate(vocabularies)]
    dropped = [0] + [len(SPECIAL)] * (len(members) - 1)
    offsets = np.cumsum([0, *(len(member) for member in members[:-1])]) - dropped
    everything = [id for member in members for id in member]
    vocabulary = _vocabulary(everything)
    meanings = _meanings(everything, vocabulary)
    patterns = _patterns(members)
    grammar = MidiTokGrammar(vocabulary, meanings, patterns, _graph(tokenizer, patterns))
    borders = [k for k, id in enumerate(everything) if id.kind == LEARNED and id.tokens == NOTHING]
    return Parts(tokenizer, vocabulary, grammar, offsets, np.array(borders, np.int64))


def _tokens(tokenizer: Any, names: dict[str, int], member: int) -> list[Id]:
    """What each id of one vocabulary stands for; the special tokens are left out of all vocabularies but the first."""
    base = []
    for name in sorted(names, key=lambda name: names[name])[len(SPECIAL) if member else 0 :]:
        kind, _, value = name.partition("_")
        if kind == "Family":  # of CPWord: what the rest of the step is about
            kind, value = value, ""
        kind = f"{kind}{member}" if kind == "Ignore" else kind
        base.append(Id(kind, [(kind, value)]))
    if not tokenizer.is_trained:
        return base
    learned = []
    for id in range(len(base), len(tokenizer)):
        sequence = _library().TokSequence(ids=[id], are_ids_encoded=True)
        tokenizer.decode_token_ids(sequence)
        learned.append(Id(LEARNED, [token for i in sequence.ids for token in base[i].tokens] or NOTHING))
    return base + learned


def _vocabulary(ids: Sequence[Id]) -> Vocabulary:
    """One range for each kind: of its values where they are numbers in a row, else counted from 0."""
    ranges = []
    for kind, run in groupby(ids, key=lambda id: id.kind):
        values = [id.tokens[0][1] for id in run]
        low = int(values[0]) if values[0].isdigit() else 0
        low = low if values == [str(low + k) for k in range(len(values))] else 0
        ranges.append((kind, low, low + len(values) - 1))
    return Vocabulary(ranges)


def _meanings(ids: Sequence[Id], vocabulary: Vocabulary) -> Meanings:
    number = {r.kind: k for k, r in enumerate(vocabulary.ranges)}
    rows = []
    for _, tokens in ids:
        meter = [value.split("/") for kind, value in tokens if kind == "TimeSig"] or [["0", "0"]]
        rows.append(
            (
                number[tokens[0][0]],
                number[tokens[-1][0]],
                any(kind in NOTE_HEADS for kind, _ in tokens),
                sum(_beats(value) for kind, value in tokens if kind in ("TimeShift", "Rest")),
                sum(kind == "Bar" for kind, _ in tokens),
                *map(float, meter[-1]),
                ([float(value) for kind, value in tokens if kind == "Tempo"] or [0.0])[-1],
            )
        )
    types = (np.int64, np.int64, bool, np.float64, np.float64, np.float64, np.float64, np.float64)
    return Meanings(*(np.array(column, dtype) for column, dtype in zip(zip(*rows, strict=True), types, strict=True)))


def _beats(value: str) -> float:
    """The beats of a time like `1.3.8`: one and three eighths; 0 of a rest that has none."""
    parts = value.split(".")
    return int(parts[0]) + int(parts[1]) / int(parts[2]) if len(parts) == 3 else 0.0


def _patterns(members: Sequence[list[Id]]) -> dict[str, tuple[str, ...]]:
    """By the type that a step is known by, the kinds of its ids."""
    kinds = [list(dict.fromkeys(id.kind for id in member)) for member in members]
    if len(kinds) == 1:
        return {kind: (kind,) for kind in kinds[0] if kind not in (*SPECIAL, LEARNED)}
    return {
        name: tuple(next((kind for kind in some if kind in step), f"Ignore{k}") for k, some in enumerate(kinds))
        for name, step in CPWORD.items()
    }


def _graph(tokenizer: Any, patterns: dict[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """MidiTok's graph, where a piece begins, and where it may end: not where a part of a note has to follow."""
    graph = {name: tokenizer.tokens_types_graph[name] & set(patterns) for name in patterns}
    first = next((name for name in ("Bar", "TimeSig") if name in patterns), None)
    graph["BOS"] = {first} if first else {"TimeShift"} | graph["TimeShift"]
    for name in patterns:
        if graph[name] - set(NOTE_PARTS):
            graph[name] = graph[name] | {"EOS"}
    return graph
