"""`encoding=miditok`: a training from files to a model folder that loads and writes songs."""

import pytest

import lstmusic

pytest.importorskip("miditok")


def test_a_tokenizer_is_trained_with_and_comes_back_with_the_model(train):
    model = lstmusic.load(train("encoding=miditok", "encoding.name=CPWord", "trainer.max_steps=2"))
    assert (model.codec.name, model.codec.group_size) == ("CPWord", 8)
    (song,) = model.generate(songs=1, seed=1, length_bars=2)
    assert song.legal
    assert len(song.score.notes) > 0


def test_a_tokenizer_that_cannot_be_used_is_refused_before_any_work(refused, training, tmp_path):
    line = refused(*training(tmp_path / "run", "encoding=miditok", "encoding.name=Octuple", "trainer.max_steps=2"))
    assert "encoding.name=Octuple: it numbers bars" in line
    assert not (tmp_path / "run").exists()
