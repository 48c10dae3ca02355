"""Recipes: everything that determines a training run besides its data."""
