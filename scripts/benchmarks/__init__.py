"""Benchmarks of operations, cores, environments and training."""
