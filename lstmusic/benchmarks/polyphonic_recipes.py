"""What table=polyphonic trains, one line a set, and what was published on it."""

from __future__ import annotations

from typing import Any, NamedTuple

SETS = {"Nottingham": "Nottingham", "JSB_Chorales": "JSB", "MuseData": "MuseData", "Piano_midi": "Piano-midi"}
COMPUTED = ("per-key marginal", "per-key Markov-1")


class Published(NamedTuple):
    """A line of the literature: nats per frame in the order of `SETS`; empty where there is none.

    Attributes:
        source: `published` where the figure was read in its source or a full text of it, else `recalled`.
    """

    name: str
    output: str
    parameters: str
    nats: tuple[str, str, str, str]
    source: str = "published"


PUBLISHED = (
    Published("tanh, Chung 2014", "independent", "20.1k", ("3.13", "9.10", "6.23", "9.03")),
    Published("GRU, Chung 2014", "independent", "20.2k", ("3.23", "8.54", "5.99", "8.82")),
    Published("LSTM, Chung 2014", "independent", "19.8k", ("3.20", "8.67", "6.23", "9.03")),
    Published("RNN, Bai 2018", "independent", "", ("4.05", "8.91", "", "")),
    Published("GRU, Bai 2018", "independent", "", ("3.46", "8.43", "", "")),
    Published("LSTM, Bai 2018", "independent", "", ("3.29", "8.45", "", "")),
    Published("TCN, Bai 2018", "independent", "", ("3.07", "8.10", "", "")),
    Published("R-Transformer", "independent", "", ("2.37", "", "", ""), "recalled"),
    Published("Jozefowicz 2015", "independent", "", ("3.25", "", "", "6.79"), "recalled"),
    Published("RNN-RBM", "joint", "", ("2.39", "6.27", "6.01", "7.09"), "recalled"),
    Published("RNN-NADE (HF)", "joint", "", ("2.31", "5.56", "5.60", "7.05"), "recalled"),
)


class Recipe(NamedTuple):
    """Sizes and training of one model on one set; the keys of conf/model and conf/trainer."""

    hidden_size: int
    minutes: float
    dropout: float = 0.0
    input_dropout: float = 0.0
    head_dropout: float = 0.0
    embedding_size: int = 0
    num_layers: int = 1
    semitones: int = 0
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    lanes: int = 8
    window_steps: int = 64
    max_grad_norm: float = 0.25  # of nats per key


class Model(NamedTuple):
    """A line of ours."""

    output: str
    cell: str
    recipes: dict[str, Recipe]

    def sizes(self, recipe: Recipe) -> dict[str, Any]:
        """What `checkpoint.build_model` takes."""
        names = ("hidden_size", "dropout", "input_dropout", "head_dropout", "embedding_size", "num_layers")
        return {"output": self.output, "cell": self.cell, **{name: getattr(recipe, name) for name in names}}


def _small(hidden_size: int) -> dict[str, Recipe]:
    """One layer straight from the keys to the keys, no larger than the 2014 paper's."""
    return {
        "Nottingham": Recipe(hidden_size, minutes=5),
        "JSB_Chorales": Recipe(hidden_size, minutes=2, dropout=0.1, semitones=6, window_steps=32),
        "MuseData": Recipe(hidden_size, minutes=5, semitones=6),
        "Piano_midi": Recipe(hidden_size, minutes=3, dropout=0.1, semitones=6),
    }


MODELS = {
    "tanh": Model("independent", "rnn", _small(78)),
    "gru": Model("independent", "gru", _small(41)),
    "lstm": Model("independent", "lstm", _small(33)),
    "best_independent": Model(
        "independent",
        "lstm",
        {
            "Nottingham": Recipe(384, 12, 0.3, 0.1, 0.0, 256, weight_decay=0.02, semitones=6),
            "JSB_Chorales": Recipe(384, 5, 0.3, 0.1, 0.0, 256, weight_decay=0.02, semitones=6, window_steps=32),
            "MuseData": Recipe(384, 15, 0.3, 0.1, 0.0, 256, weight_decay=0.02, semitones=6),
            "Piano_midi": Recipe(256, 6, 0.4, 0.1, 0.0, 256, weight_decay=0.02, semitones=6),
        },
    ),
    "best_joint": Model(
        "joint",
        "lstm",
        {
            "Nottingham": Recipe(384, 15, 0.3, 0.1, 0.2, 256, weight_decay=0.02, semitones=6, lanes=16),
            "JSB_Chorales": Recipe(384, 8, 0.3, 0.1, 0.2, 256, weight_decay=0.02, semitones=6, window_steps=32),
            "MuseData": Recipe(384, 20, 0.3, 0.1, 0.2, 256, weight_decay=0.02, semitones=6, lanes=16),
            "Piano_midi": Recipe(256, 10, 0.4, 0.1, 0.2, 256, weight_decay=0.02, semitones=6),
        },
    ),
}
