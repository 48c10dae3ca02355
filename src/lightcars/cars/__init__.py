"""Stanford Cars: finding the photographs, fine-tuning, evaluating, predicting. Needs the extra `cars`."""
