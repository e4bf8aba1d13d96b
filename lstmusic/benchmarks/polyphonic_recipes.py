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
    echoes: tuple[int, ...] = ()
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
        names = ("hidden_size", "dropout", "input_dropout", "head_dropout", "embedding_size", "num_layers", "echoes")
        return {"output": self.output, "cell": self.cell, **{name: getattr(recipe, name) for name in names}}


LAGS_OF_EIGHTHS = (6, 8, 12, 16, 24, 32, 48, 64, 96)  # bars of three and four quarters, and of six eighths
LAGS_OF_QUARTERS = (4, 8, 12, 16, 24, 32, 48)


def _small(hidden_size: int, learning_rate: float) -> dict[str, Recipe]:
    """One layer straight from the keys to the keys, no larger than the 2014 paper's."""
    base = Recipe(hidden_size, minutes=2, dropout=0.1, learning_rate=learning_rate, lanes=16, window_steps=32)
    return {
        "Nottingham": base,
        "JSB_Chorales": base._replace(minutes=0.75, lanes=8),
        "MuseData": base._replace(minutes=3, dropout=0.0),
        "Piano_midi": base._replace(minutes=1.5, semitones=6),
    }


def _small_with_echoes(hidden_size: int) -> dict[str, Recipe]:
    """No larger either: frames and echoes come in through 8 numbers, and echoes are copied."""
    base = Recipe(hidden_size, 2, embedding_size=8, semitones=6, learning_rate=0.01, lanes=16, window_steps=32)
    return {
        "Nottingham": base._replace(echoes=LAGS_OF_EIGHTHS),
        "JSB_Chorales": base._replace(minutes=0.75, lanes=8, echoes=LAGS_OF_QUARTERS),
        "MuseData": base._replace(minutes=3, semitones=0, echoes=LAGS_OF_EIGHTHS),
        "Piano_midi": base._replace(minutes=1.5, echoes=LAGS_OF_EIGHTHS),
    }


def _best(output: str) -> Model:
    """As large as pays in the time given, with echoes.

    The pieces of these sets were transposed to one tonic: transposing them again costs what that tells, and pays only where
    there are few of them.
    """
    base = Recipe(
        hidden_size=256,
        minutes=6,
        dropout=0.3,
        input_dropout=0.1,
        head_dropout=0.2 if output == "joint" else 0.0,
        embedding_size=256,
        echoes=LAGS_OF_EIGHTHS,
        learning_rate=4e-3,
        weight_decay=0.02,
        lanes=16,
        window_steps=32,
    )
    chorales = base._replace(minutes=4, learning_rate=3e-3, lanes=8, echoes=LAGS_OF_QUARTERS)
    if output == "joint":
        chorales = chorales._replace(dropout=0.5, input_dropout=0.2, head_dropout=0.3, embedding_size=192)
    else:
        chorales = chorales._replace(hidden_size=384, semitones=6)
    recipes = {
        "Nottingham": base._replace(minutes=8, semitones=6),
        "JSB_Chorales": chorales,
        "MuseData": base,
        "Piano_midi": base._replace(minutes=4, dropout=0.4, semitones=6, lanes=8),
    }
    return Model(output, "lstm", recipes)


MODELS = {
    "tanh": Model("independent", "rnn", _small(78, 3e-3)),
    "gru": Model("independent", "gru", _small(41, 0.012)),
    "lstm": Model("independent", "lstm", _small(33, 0.012)),
    "gru_echoes": Model("independent", "gru", _small_with_echoes(46)),
    "lstm_echoes": Model("independent", "lstm", _small_with_echoes(40)),
    "best_independent": _best("independent"),
    "best_joint": _best("joint"),
}
