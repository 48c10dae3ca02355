"""From a trained model to one that only predicts: fused, or in another engine's form."""
