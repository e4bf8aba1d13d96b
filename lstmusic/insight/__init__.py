"""What a model does with music: its gates, its memory, how far its gradient reaches."""
