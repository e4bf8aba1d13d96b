"""How likely held-out music is under a model, beside simple baselines; and what songs are like, beside held-out music."""
