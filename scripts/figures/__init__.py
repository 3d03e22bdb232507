"""Figures and pictures: curves, aggregates, episodes, recordings."""
