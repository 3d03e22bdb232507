"""The tasks: Gymnasium environments over numpy arrays. Never imports torch."""
