"""A verdict and a reason for every piece; reading and encoding in workers that may die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field

import numpy as np

from lstmusic.corpus.sources import PieceRef, read_piece
from lstmusic.errors import LstmusicError
from lstmusic.events import codec as codecs

CHUNK = 16  # pieces per task: small enough that the search for the one that kills its worker is short
CHUNKS_PER_JOB = 8  # handed out at a time: all that a worker that dies can take with it and that is done again
MAX_LENGTH_S = 4 * 3600.0


@dataclass(frozen=True)
class Examined:
    """What became of one piece.

    Attributes:
        ref: which piece.
        ids: uint16 [N]; empty where it was skipped.
        reason: why it was skipped; empty where it is used.
        notes: notes in the encoded piece.
        seconds: how long it lasts.
        losses: what its encoding left out or moved, by reason.
    """

    ref: PieceRef
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint16))
    reason: str = ""
    notes: int = 0
    seconds: float = 0.0
    losses: Counter = field(default_factory=Counter)


def examine_piece(ref: PieceRef, encoding: str, options: dict) -> Examined:
    """Read and encode one piece; anything that is wrong with it becomes its reason."""
    codec = codecs.build(encoding, **options)
    losses: Counter = Counter()
    try:
        score = read_piece(ref)
        if score.length_s > MAX_LENGTH_S:
            return Examined(ref, reason=f"lasts {score.length_s:.0f} s, expected at most {MAX_LENGTH_S:.0f} s")
        ids = codec.encode(score, losses)
        codec.grammar.check(ids)
    except LstmusicError as error:
        return Examined(ref, reason=str(error))
    except Exception as error:  # a reader's own bug on one file: it is named, with the reason
        return Examined(ref, reason=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return Examined(ref, ids, "", codec.num_notes(ids), score.length_s, +losses)


def _examine_chunk(refs: Sequence[PieceRef], encoding: str, options: dict) -> list[Examined]:
    return [examine_piece(ref, encoding, options) for ref in refs]


def examine(
    refs: Sequence[PieceRef], encoding: str, options: dict, *, jobs: int, on_progress: Callable[[int], None]
) -> Iterator[Examined]:
    """Read and encode pieces in worker processes, in order.

    A chunk whose worker dies (symusic crashes on about one mutated file in a hundred) is halved until the piece that kills
    it stands alone; that piece is skipped, the others are used.

    Args:
        jobs: worker processes; -1 for one per core.
        on_progress: called with the number of pieces just done.
    """
    from joblib import effective_n_jobs

    chunks = [refs[i : i + CHUNK] for i in range(0, len(refs), CHUNK)]
    batch = CHUNKS_PER_JOB * effective_n_jobs(jobs)
    for start in range(0, len(chunks), batch):
        some = chunks[start : start + batch]
        for chunk, result in zip(some, _run_chunks(some, encoding, options, jobs), strict=True):
            results = result if result is not None else _halve(chunk, encoding, options)
            yield from results
            on_progress(len(results))


def _run_chunks(
    chunks: list[Sequence[PieceRef]], encoding: str, options: dict, jobs: int
) -> Iterator[list[Examined] | None]:
    """Each chunk's results, in order; None for a chunk that was lost with a worker."""
    from joblib import effective_n_jobs
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=effective_n_jobs(jobs), timeout=10)
    futures = []
    for chunk in chunks:
        try:
            futures.append(executor.submit(_examine_chunk, chunk, encoding, options))
        except BrokenExecutor:  # while we were still handing out work
            futures.append(None)
    for future in futures:
        try:
            yield future.result() if future is not None else None
        except BrokenExecutor:  # whoever was in the pool with a worker that died is lost with it
            yield None


def _halve(chunk: Sequence[PieceRef], encoding: str, options: dict) -> list[Examined]:
    (result,) = _run_chunks([chunk], encoding, options, 1)
    if result is not None:
        return result
    if len(chunk) == 1:
        return [Examined(chunk[0], reason="the parser died (crash inside the MIDI library)")]
    middle = len(chunk) // 2
    return _halve(chunk[:middle], encoding, options) + _halve(chunk[middle:], encoding, options)
