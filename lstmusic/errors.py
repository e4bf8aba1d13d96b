"""Every error a user can meet, by name.

Each message is one line that names the key or file, what came and what was expected. `RequestError` and its children
mean that the request is wrong (exit code 2); every other `LstmusicError` means that the work failed (exit code 1).
"""

from __future__ import annotations


class LstmusicError(Exception):
    """Something failed that the user should read about in one line."""

    exit_code = 1


class RequestError(LstmusicError):
    """The request is wrong: nothing was started."""

    exit_code = 2


class ConfigError(RequestError):
    """An unknown key, or a value that its key cannot take."""


class MissingFileError(RequestError):
    """A file or folder that was named does not exist."""


class ReadError(RequestError):
    """A music file cannot be read, or holds no notes."""


class EmptyCorpusError(RequestError):
    """No piece of a corpus is usable."""


class CheckpointError(RequestError):
    """A model folder or checkpoint is missing, torn or altered."""


class VocabularyError(RequestError):
    """An id, an event or a whole vocabulary does not belong to this model."""


class DeviceError(RequestError):
    """The device that was asked for is not there."""


class OutputError(RequestError):
    """The output folder cannot be written, or the disk is full."""


class DownloadError(LstmusicError):
    """A data set could not be fetched, or its checksum is wrong."""


class IllegalSequenceError(LstmusicError):
    """Ids that the grammar of their encoding does not allow."""


class StateShapeError(LstmusicError):
    """A recurrent state was made for another number of lanes or another model."""


class GenerationError(LstmusicError):
    """No song with notes came out, whatever was tried."""


class ReproductionError(LstmusicError):
    """A song made again from its provenance came out otherwise."""
