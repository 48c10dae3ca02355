"""The version of this package. No torch."""

__version__ = "0.2.0"
