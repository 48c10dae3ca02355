"""Inference, training steps, imports and memory: how fast is lightcars beside its peers?"""
