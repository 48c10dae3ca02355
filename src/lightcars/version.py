"""The version of this package. No torch."""

__version__ = "0.1.0"
