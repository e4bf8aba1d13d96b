"""The kinds of model: all are asked in one way about windows of groups of ids, so that others need not tell them apart."""

from lstmusic.models.frame_model import FrameModel
from lstmusic.models.language_model import RecurrentLanguageModel

Model = RecurrentLanguageModel | FrameModel
