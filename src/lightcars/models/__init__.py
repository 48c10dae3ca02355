"""Architectures: their tables (no torch), the registry of what ships, and the modules built from them."""
