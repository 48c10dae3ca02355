"""Benchmark models: latency, throughput and memory in each engine, each in its own process."""
