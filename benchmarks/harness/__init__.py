"""What the benchmarks share: options, worker processes, rounds, ratios and the record of a result."""
