"""Score <-> ids: vocabularies, grammars and the encodings."""
