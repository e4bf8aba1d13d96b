"""The recurrent layers, one file per family; each runs over a window and one step at a time, and both agree."""

from __future__ import annotations

from lstmusic.errors import ConfigError
from lstmusic.models.cells.gru_v1 import GruV1
from lstmusic.models.cells.layer import Layer, LayerState
from lstmusic.models.cells.lstm_variants import LstmLn, LstmMogrifier, LstmPeephole
from lstmusic.models.cells.scan import MinGru, MinLstm
from lstmusic.models.cells.slstm import Slstm
from lstmusic.models.cells.torch_cells import Gru, Lstm, Rnn, RnnRelu

LAYERS: dict[str, type[Layer]] = {
    "lstm": Lstm,
    "gru": Gru,
    "rnn": Rnn,
    "rnn_relu": RnnRelu,
    "gru_v1": GruV1,
    "lstm_ln": LstmLn,
    "lstm_peephole": LstmPeephole,
    "lstm_mogrifier": LstmMogrifier,
    "mingru": MinGru,
    "minlstm": MinLstm,
    "slstm": Slstm,
}
CELLS = tuple(LAYERS)

__all__ = ["CELLS", "Layer", "LayerState", "build", "parameter_count"]


def build(cell: str, input_size: int, hidden_size: int, *, weight_drop: float = 0.0) -> Layer:
    """One recurrent layer.

    Args:
        weight_drop: the share of the recurrent matrix's entries that are dropped in each training window.

    Raises:
        ConfigError: no such cell, or a weight_drop that the cell cannot take.
    """
    kind = _kind(cell)
    if not 0 <= weight_drop < 1:
        raise ConfigError(f"model.weight_drop={weight_drop}: expected 0 <= weight_drop < 1")
    if weight_drop and not kind.has_recurrent_matrix:
        raise ConfigError(f"model.weight_drop={weight_drop}: expected 0, model.cell={cell} has no recurrent matrix")
    layer = kind(input_size, hidden_size)
    layer.weight_drop = weight_drop
    return layer


def parameter_count(cell: str, input_size: int, hidden_size: int) -> int:
    """How many numbers a layer of this cell learns, by its formula."""
    return _kind(cell).parameter_count(input_size, hidden_size)


def _kind(cell: str) -> type[Layer]:
    if cell not in LAYERS:
        raise ConfigError(f"model.cell={cell}: expected one of {', '.join(CELLS)}")
    return LAYERS[cell]
