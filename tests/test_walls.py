"""Who may know whom (docs/architecture): read from the imports of every module."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lstmusic

PACKAGE = Path(lstmusic.__file__).parent
RANKS = {
    **dict.fromkeys(("errors", "files", "packing", "schema", "config", "models"), 1),
    **dict.fromkeys(("score", "insight"), 2),
    **dict.fromkeys(("events", "listening"), 3),
    **dict.fromkeys(("corpus", "sampling"), 4),
    **dict.fromkeys(("training", "evaluation"), 5),
    **dict.fromkeys(
        ("provenance", "reproduction", "infilling", "stopping", "writing", "selection", "music_model", "benchmarks"), 6
    ),
    **dict.fromkeys(("commands", "apps"), 7),
    "cli": 8,
}
MUSIC_LIBRARIES = {"pretty_midi", "music21", "symusic", "mido"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path, *, top_level=False):
    """The dotted names that a module imports; those for the type checker alone do not count."""
    names = set()
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return names


def rooms_used(path):
    own = {name.split(".")[1] for name in imports_of(path) if name.startswith("lstmusic.")}
    return (own & set(RANKS)) - {room_of(path)}


def outsiders(path, **options):
    return {name.split(".")[0] for name in imports_of(path, **options)} - {"lstmusic"}


def modules_of(*rooms):
    found = [path for path in MODULES if room_of(path) in rooms]
    assert found, rooms
    return found


def test_every_module_stands_in_a_room():
    assert {room_of(path) for path in MODULES} - {"__init__"} <= set(RANKS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_knows_none_above_it(path):
    if room_of(path) != "__init__":  # the package's face names what it hands out
        above = {room for room in rooms_used(path) if RANKS[room] > RANKS[room_of(path)]}
        assert not above


def test_no_two_rooms_know_each_other():
    graph = {}
    for path in MODULES:
        if room_of(path) != "__init__":
            graph.setdefault(room_of(path), set()).update(rooms_used(path))
    assert any(graph.values())
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("path", modules_of("models", "sampling"), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_models_and_sampling_know_nothing_of_midi(path):
    assert not rooms_used(path) & {"score", "listening"}
    assert not outsiders(path) & MUSIC_LIBRARIES


def test_listening_knows_no_models():
    for path in modules_of("listening"):
        assert not rooms_used(path) & {"models", "events", "sampling", "training"}
        assert "torch" not in outsiders(path)


def test_training_imports_no_music_library():
    for path in modules_of("training"):
        assert not outsiders(path, top_level=True) & MUSIC_LIBRARIES


def test_hydra_is_known_only_where_requests_come_in():
    knowing = {room_of(path) for path in MODULES if outsiders(path) & {"hydra", "omegaconf"}}
    assert knowing
    assert knowing <= {"cli", "config", "commands"}


def test_the_imports_are_found(tmp_path):
    """The reader of imports itself: nested ones count, those for types do not."""
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nimport json\nif TYPE_CHECKING:\n    import torch\n"
        "def f():\n    from lstmusic.score import midi\n    import mido\n"
    )
    assert imports_of(path) == {"typing.TYPE_CHECKING", "json", "lstmusic.score.midi", "mido"}
    assert imports_of(path, top_level=True) == {"typing.TYPE_CHECKING", "json"}
