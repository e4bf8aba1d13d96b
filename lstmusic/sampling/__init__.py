"""A model, masks and a generator in; ids out. Knows nothing of MIDI."""
