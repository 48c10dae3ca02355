"""Evaluation, prediction, and what is fitted after training."""
