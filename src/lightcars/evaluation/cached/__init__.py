"""Predict without importing torch, with an engine that an earlier `lightcars predict` has prepared.

`entries` finds the engine of weights and says whether they have changed, `predictor` runs it on an image
(both without torch), `preparation` makes it.
"""
