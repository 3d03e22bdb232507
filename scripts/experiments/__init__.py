"""Experiments: grids of runs, the runner, their tables and reports."""
