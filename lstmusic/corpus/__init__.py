"""Many pieces: where they come from, what became of each, their split, their store, and the lanes they are read in."""
