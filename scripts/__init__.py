"""The commands. Each module is run as `python -m plastic_rl.scripts.NAME`."""

