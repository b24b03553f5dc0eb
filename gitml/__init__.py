"""A git repository as the registry of everything a machine-learning team ships."""

from gitml._version import __version__

__all__ = ["__version__"]
