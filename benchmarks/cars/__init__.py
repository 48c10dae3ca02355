"""Stanford Cars: which recipes learn best, and how the shipped weights do on other images."""
