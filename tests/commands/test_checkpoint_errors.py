"""Model folders that are damaged, or not those that a request needs: one line, and nothing is touched."""

import shutil

import pytest
import yaml


def copy_of(run, tmp_path):
    return shutil.copytree(run / "model", tmp_path / "model")


@pytest.mark.parametrize("where", [0, 0.5, 0.999])
def test_a_checkpoint_with_one_byte_flipped(where, refused, chorale_run, tmp_path):
    model = copy_of(chorale_run, tmp_path)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[int(where * len(weights))] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    line = refused("generate", f"checkpoint={model}", f"hydra.run.dir={tmp_path}/o")
    assert f"{model}/model.safetensors: sha256" in line
    assert "expected" in line
    assert (model / "model.safetensors").read_bytes() == weights
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml", "vocabulary.json"])
def test_a_checkpoint_with_a_file_missing(name, refused, chorale_run, tmp_path):
    model = copy_of(chorale_run, tmp_path)
    (model / name).unlink()
    assert f"checkpoint={model}: {name} is missing" in refused("generate", f"checkpoint={model}")


@pytest.mark.parametrize("text", ["", "{", "[]", "encoding: 3", "format: 1"])
def test_a_checkpoint_with_a_damaged_configuration(text, refused, chorale_run, tmp_path):
    model = copy_of(chorale_run, tmp_path)
    (model / "config.yaml").write_text(text)
    assert f"checkpoint={model}: " in refused("generate", f"checkpoint={model}")


def test_a_checkpoint_of_a_later_format(refused, chorale_run, tmp_path):
    model = copy_of(chorale_run, tmp_path)
    config = yaml.safe_load((model / "config.yaml").read_text())
    (model / "config.yaml").write_text(yaml.safe_dump({**config, "format": 99}))
    assert "format 99, expected 1" in refused("generate", f"checkpoint={model}")


def test_a_vocabulary_of_another_version(refused, chorale_run, performance_run, tmp_path):
    model = copy_of(chorale_run, tmp_path)
    shutil.copy(performance_run / "model" / "vocabulary.json", model / "vocabulary.json")
    assert "vocabulary.json: not the vocabulary of encoding 'chorale'" in refused("generate", f"checkpoint={model}")


def test_begin_with_a_model_of_another_encoding(refused, chorale_run, music, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refused("train", "data=folder", f"data.path={music}", "encoding=performance", f"init_from={chorale_run}")
    assert f"init_from={chorale_run}: encoding chorale, expected performance" in line
    assert not list(tmp_path.iterdir())


def test_begin_with_a_model_of_another_size(refused, chorale_run, training, tmp_path):
    line = refused(
        *training(
            tmp_path / "o",
            "encoding=chorale",
            f"init_from={chorale_run}",
            "model.hidden_size=16",
            "trainer.max_steps=1",
        )
    )
    assert f"init_from={chorale_run}: other sizes than its weights: model.hidden_size=16 (expected 12)" in line


def test_a_wrong_first_model_is_refused_before_the_corpus_is_read(refused, chorale_run, tmp_path):
    """The files are no music: reading them would be refused with other words."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "page.mid").write_text("<html>")
    places = (f"data.path={tmp_path}/music", f"data.cache={tmp_path}/cache", f"hydra.run.dir={tmp_path}/run")
    asked = ("train", "data=folder", "encoding=chorale", f"init_from={chorale_run}", *places)
    line = refused(*asked, "model=gru")
    assert "model.cell=gru (expected lstm)" in line
    assert "model.embedding_size=256 (expected 8)" in line
    assert "no usable piece among 1 files" in refused(*asked)
    assert not (tmp_path / "run" / "model").exists()


def test_a_control_that_the_model_cannot_follow(refused, chorale_run, performance_run, tmp_path):
    where = f"hydra.run.dir={tmp_path}/o"
    line = refused("generate", f"checkpoint={chorale_run}", "control.density=4", where)
    assert "control.density: the model was trained without conditions, expected" in line
    line = refused("generate", f"checkpoint={performance_run}", "control.range={Soprano:[60,79]}", where)
    assert "control.range.Soprano: this encoding has no such voice, expected one of all" in line
    assert not (tmp_path / "o").exists()
