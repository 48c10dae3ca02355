"""From a trained model to one that only predicts. Needs torch and the models."""
