"""The table of registered environments."""


def register_envs() -> None:
    """Register every environment of this package with Gymnasium."""
