"""The walk-through, read from its own text: every line follows from the lines before, and torch's own layers agree."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lstmusic.errors import ConfigError
from lstmusic.insight.walkthrough import walkthrough
from lstmusic.models import cells

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
GATES = {"rnn": ["h'"], "lstm": ["i", "f", "g", "o"], "gru": ["r", "z", "n"]}
NAMES = {
    "rnn": ["candidate"],
    "lstm": ["input", "forget", "candidate", "output"],
    "gru": ["reset", "update", "candidate"],
}
DOCS = Path(__file__).parents[2] / "docs" / "cells.md"
ROUNDED = 1.5e-4  # two numbers of 4 digits, each rounded


def lists(line):
    """The bracketed numbers of a line."""
    return [[float(number) for number in found.split(",")] for found in re.findall(r"\[([^]]*)\]", line)]


def read(text):
    """A walk-through as {section: {label: numbers}}; sections are the letters of gates, and words."""
    sections, section = {"": {}}, ""
    for line in text.splitlines():
        if heading := re.match(r"The [a-z ]+ ([a-z]'?): |(The memory|The output|The new state): |(torch)\.nn", line):
            section = next(group for group in heading.groups() if group)
            sections[section] = {}
        elif line.startswith("  W = "):
            w, u, b = lists(line)
            sections[section] |= {"W": [w], "U": [u], "b": b}
        elif " d = " in line:
            w, u, d = lists(line)
            sections[section]["W"].append(w)
            sections[section]["U"].append(u)
            sections[section]["d"] = d
        elif found := re.match(r"  .{16}(.*?) = \[", line):
            sections[section][found[1].split(" = ")[0].strip()] = lists(line)[0]
    return sections


def near(mine, theirs):
    """Equal as far as 4 digits go."""
    return mine == pytest.approx(list(theirs), abs=ROUNDED)


def linear(matrix, vector, bias):
    """A matrix times a vector plus a bias, in Python's own numbers."""
    return [sum(m * v for m, v in zip(row, vector, strict=True)) + b for row, b in zip(matrix, bias, strict=True)]


def sigmoid(values):
    """1 / (1 + e^-a) of each."""
    return [1 / (1 + math.exp(-value)) for value in values]


def tanh(values):
    """The hyperbolic tangent of each."""
    return [math.tanh(value) for value in values]


def times(a, b):
    """Product, unit by unit."""
    return [x * y for x, y in zip(a, b, strict=True)]


def torch_weights(cell, text):
    """The printed weights under the names of torch."""
    labels = {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "d"}
    return {
        name: torch.tensor([row for letter in GATES[cell] for row in text[letter][label]])
        for name, label in labels.items()
    }


@pytest.mark.parametrize("cell", LAYERS)
def test_every_gate_can_be_followed_with_a_pencil(cell):
    text = read(walkthrough(cell))
    x, h = text[""]["x"], text[""]["h"]
    assert (len(x), len(h)) == (3, 2)
    assert [section for section in text if section in GATES[cell]] == GATES[cell]
    for letter in GATES[cell]:
        gate = text[letter]
        assert near(gate["W x + b"], linear(gate["W"], x, gate["b"]))
        assert near(gate["U h + d"], linear(gate["U"], h, gate["d"]))
        from_state = gate["U h + d"]
        if (cell, letter) == ("gru", "n"):
            assert near(gate["r (U h + d)"], times(text["r"]["r"], from_state))
            from_state = gate["r (U h + d)"]
        assert near(gate["a"], [a + b for a, b in zip(gate["W x + b"], from_state, strict=True)])
        squash = tanh if letter in ("h'", "g", "n") else sigmoid
        assert near(gate[letter], squash(gate["a"]))


def test_the_new_state_of_an_lstm_follows_from_its_gates():
    text = read(walkthrough("lstm"))
    memory, output = text["The memory"], text["The output"]
    assert near(memory["f c"], times(text["f"]["f"], text[""]["c"]))
    assert near(memory["i g"], times(text["i"]["i"], text["g"]["g"]))
    assert near(memory["c'"], [a + b for a, b in zip(memory["f c"], memory["i g"], strict=True)])
    assert near(output["tanh(c')"], tanh(memory["c'"]))
    assert near(output["h'"], times(text["o"]["o"], output["tanh(c')"]))


def test_the_new_state_of_a_gru_follows_from_its_gates():
    text = read(walkthrough("gru"))
    new, z = text["The new state"], text["z"]["z"]
    assert near(new["z h"], times(z, text[""]["h"]))
    assert near(new["(1 - z) n"], times([1 - value for value in z], text["n"]["n"]))
    assert near(new["h'"], [a + b for a, b in zip(new["z h"], new["(1 - z) n"], strict=True)])


@pytest.mark.parametrize("cell", LAYERS)
def test_the_layer_of_torch_says_the_same(cell):
    text = read(walkthrough(cell))
    layer = LAYERS[cell](3, 2)
    layer.load_state_dict(torch_weights(cell, text))
    x, *state = (torch.tensor([text[""][name]]) for name in ("x", "h", "c") if name in text[""])
    with torch.no_grad():
        _, after = layer(x, tuple(state) if cell == "lstm" else state[0])
    after = after if cell == "lstm" else (after,)
    printed = {"rnn": ["h'"], "lstm": ["The output", "The memory"], "gru": ["The new state"]}[cell]
    for section, name, part in zip(printed, ("h'", "c'"), after, strict=False):
        assert near(text[section][name], part[0].tolist())
        assert near(text["torch"][name], part[0].tolist())


@pytest.mark.parametrize("cell", LAYERS)
def test_the_page_shows_what_is_printed(cell):
    assert f"```\n{walkthrough(cell)}\n```" in DOCS.read_text()


def test_another_cell_is_refused():
    with pytest.raises(ConfigError, match="cell=mingru: expected one of rnn, lstm, gru"):
        walkthrough("mingru")


@pytest.mark.parametrize("cell", LAYERS)
def test_the_gates_of_our_own_layers_say_the_same(cell):
    text = read(walkthrough(cell))
    layer = cells.build(cell, 3, 2)
    layer.load_state_dict(torch_weights(cell, text))
    x, *state = (torch.tensor([text[""][name]]) for name in ("x", "h", "c") if name in text[""])
    says = layer.gates(x, tuple(state))
    for letter, name in zip(GATES[cell], NAMES[cell], strict=True):
        assert near(text[letter][letter], says[name][0].tolist())
