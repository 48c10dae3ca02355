"""Evaluation, prediction, and steps after training: batch norm statistics, temperature, OOD detection."""
