"""How likely held-out music is under a model, beside simple baselines."""
