"""Latency, throughput and memory of models in each engine, every one in a process of its own."""
