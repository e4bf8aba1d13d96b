"""A model folder: whole or not at all, checked when it is read."""

import json
import pickle

import pytest
import torch
import yaml

from lstmusic.errors import CheckpointError, OutputError, VocabularyError
from lstmusic.events import codec as codecs
from lstmusic.events import conditions
from lstmusic.training import checkpoint

SIZES = {"cell": "gru", "embedding_size": 8, "hidden_size": 12, "num_layers": 1, "dropout": 0.0}


@pytest.fixture
def save():
    """A function: save a fresh model of a seed; the model."""

    def run(folder, codec, seed=0, **options):
        torch.manual_seed(seed)
        model = checkpoint.build_model(codec, SIZES)
        facts = {"data": {"name": "test"}, "seed": seed}
        split = {"train": ["a"], "valid": ["b"], "test": []}
        checkpoint.save(folder, model, codec, sizes=SIZES, facts=facts, split=split, card="# A card\n", **options)
        return model

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "model"


def test_round_trip(save, codec, folder):
    model = save(folder, codec, seed=3)
    opened = checkpoint.load(folder)
    assert opened.codec.name == codec.name
    assert opened.codec.options == codec.options
    assert opened.path == folder
    assert opened.facts == {"data": {"name": "test"}, "seed": 3}
    assert opened.split == {"train": ["a"], "valid": ["b"], "test": []}
    assert not opened.model.training
    assert opened.model.state_dict().keys() == model.state_dict().keys()
    for name, value in opened.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert {p.name for p in folder.iterdir()} == {*checkpoint.FILES, "split.json", "card.md"}


def test_more_files_may_lie_in_the_folder(save, codec, folder):
    save(folder, codec, extras={"numbers.bin": b"\x00\xff", "words.json": b"{}"})
    assert (folder / "numbers.bin").read_bytes() == b"\x00\xff"
    assert (folder / "words.json").read_bytes() == b"{}"
    checkpoint.load(folder)
    save(folder, codec)  # a folder that takes its place has its own files only
    assert not (folder / "numbers.bin").exists()


def test_half_precision_takes_half_the_room(save, codec, folder, tmp_path):
    model = save(folder, codec)
    save(tmp_path / "half", codec, dtype="float16")
    opened = checkpoint.load(tmp_path / "half").model.state_dict()
    for name, value in model.state_dict().items():
        assert opened[name].dtype == value.dtype
        torch.testing.assert_close(opened[name], value, atol=1e-3, rtol=1e-3)
    sizes = [(place / "model.safetensors").stat().st_size for place in (tmp_path / "half", folder)]
    assert sizes[0] < 0.65 * sizes[1]


@pytest.mark.parametrize("name", checkpoint.FILES)
def test_a_missing_file_is_named(save, codec, folder, name):
    save(folder, codec)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        checkpoint.load(folder)


def test_any_flipped_byte_is_found(save, codec, folder):
    save(folder, codec)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 20):
        torn = bytearray(whole)
        torn[place] ^= 0x10
        file.write_bytes(torn)
        with pytest.raises(CheckpointError, match=r"model\.safetensors: sha256 .* expected"):
            checkpoint.load(folder)


def edit(folder, **changes):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))


def test_another_format_is_refused(save, codec, folder):
    save(folder, codec)
    edit(folder, format=2)
    with pytest.raises(CheckpointError, match="format 2, expected 1"):
        checkpoint.load(folder)


def test_other_sizes_than_the_weights_have_are_refused(save, codec, folder):
    save(folder, codec)
    edit(folder, model={**SIZES, "hidden_size": 13})
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoint.load(folder)


@pytest.mark.parametrize("sizes", [{**SIZES, "colour": "red"}, {**SIZES, "hidden_size": "many"}, "none", None])
def test_sizes_that_make_no_sense_are_refused(save, codec, folder, sizes):
    save(folder, codec)
    edit(folder, model=sizes)
    with pytest.raises(CheckpointError, match="checkpoint="):
        checkpoint.load(folder)


@pytest.mark.parametrize("encoding", [{"name": "braille"}, {"name": "chorale", "colour": 1}, {}, "chorale"])
def test_an_encoding_that_is_not_there_is_refused(save, codec, folder, encoding):
    save(folder, codec)
    edit(folder, encoding=encoding)
    with pytest.raises(CheckpointError, match="checkpoint="):
        checkpoint.load(folder)


def test_another_vocabulary_is_refused(save, folder):
    save(folder, codecs.build("performance"))
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    vocabulary["features"]["flags"] += 1
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    with pytest.raises(VocabularyError, match="not the vocabulary of encoding 'performance'"):
        checkpoint.load(folder)


def test_loading_runs_no_code(save, codec, folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    save(folder, codec)
    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError):
        checkpoint.load(folder)
    (folder / "config.yaml").write_text(f"encoding: !!python/object/apply:open ['{tmp_path}/ran', 'w']\n")
    with pytest.raises(CheckpointError):
        checkpoint.load(folder)
    assert not (tmp_path / "ran").exists()


def test_saving_again_replaces_the_whole(save, codec, folder):
    save(folder, codec, seed=1)
    (folder / "stale.txt").write_text("of the older one")
    model = save(folder, codec, seed=2)
    opened = checkpoint.load(folder)
    assert opened.facts["seed"] == 2
    assert torch.equal(opened.model.output_bias, model.output_bias)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert not (folder / "stale.txt").exists()


@pytest.mark.parametrize("torn", ["write_text", "write_bytes", "rename"])
def test_a_crash_while_saving_leaves_the_older_folder(save, codec, folder, monkeypatch, torn):
    save(folder, codec, seed=1)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"pathlib.Path.{torn}", fail)
        with pytest.raises(OutputError, match="No space left on device"):
            save(folder, codec, seed=2)
    assert checkpoint.load(folder).facts["seed"] == 1
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_crash_between_the_two_renames_is_undone(save, codec, folder, monkeypatch):
    save(folder, codec, seed=1)
    rename = checkpoint.Path.rename

    def second_fails(self, target):
        if self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", second_fails)
        with pytest.raises(OutputError):
            save(folder, codec, seed=2)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert checkpoint.load(folder).facts["seed"] == 1


def test_a_kill_between_the_two_renames_loses_nothing(save, codec, folder):
    save(folder, codec, seed=1)
    folder.rename(folder.with_name("model.123.old"))
    assert checkpoint.load(folder).facts["seed"] == 1
    folder.rename(folder.with_name("model.123.old"))
    save(folder, codec, seed=2)
    assert checkpoint.load(folder).facts["seed"] == 2
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_place_that_is_a_file_is_refused(save, codec, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        save(tmp_path / "file" / "model", codec)
    assert (tmp_path / "file").read_text() == "mine"


def test_conditions_come_back_with_the_model(save, folder):
    """The folder says that they can be told; one without them says nothing, like those written before there were any."""
    save(folder, codecs.build("chorale", conditions=True))
    save(folder.with_name("plain"), codecs.build("chorale"))
    opened, plain = checkpoint.load(folder), checkpoint.load(folder.with_name("plain"))
    assert opened.codec.options == {"strikes": True, "conditions": True}
    assert opened.codec.grammar.conditions
    columns = json.loads((folder / "vocabulary.json").read_text())["features"]["columns"]
    assert columns == plain.codec.grammar.feature_sizes | conditions.SIZES
    assert sum(columns.values()) == len(opened.model.stack_features.weight)
    assert plain.codec.options == {"strikes": True}
    assert not plain.codec.grammar.conditions
    assert (
        "density" not in json.loads((folder.with_name("plain") / "vocabulary.json").read_text())["features"]["columns"]
    )


def test_a_folder_that_lost_its_conditions_is_refused(save, folder):
    save(folder, codecs.build("chorale", conditions=True))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["encoding"]["conditions"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(VocabularyError, match=r"vocabulary\.json: not the vocabulary of encoding 'chorale'"):
        checkpoint.load(folder)
