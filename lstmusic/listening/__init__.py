"""Scores as sound, pictures and pages to listen to."""
