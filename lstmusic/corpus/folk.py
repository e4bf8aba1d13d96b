"""Folk tunes that come with music21: fiddle and fife tunes of four printed collections, each tune of a file a piece."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lstmusic.corpus.folders import music
from lstmusic.corpus.pieces import PieceRef, Source

# Ryan's Mammoth Collection (1883), O'Neill's Music of Ireland, Aird's Airs (from 1782), the Essen Folksong Collection
COLLECTIONS = ("ryansMammoth", "oneills1850", "airdsAirs", "essenFolksong")


def folk() -> Source:
    """Every tune of the collections, in the order of their files."""
    import music21

    corpus = Path(music21.common.getCorpusFilePath())
    digest = hashlib.sha256(music21.__version__.encode())
    pieces: list[PieceRef] = []
    for collection in COLLECTIONS:
        for file in sorted((corpus / collection).glob("*.abc")):
            digest.update(file.read_bytes())
            pieces += music(PieceRef(f"{collection}/{file.name}", "", str(file)))
    return Source(pieces, digest.hexdigest())
