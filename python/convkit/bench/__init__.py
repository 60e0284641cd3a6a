"""Benchmarks and the problems that benchmarks and tests share (shapes/*.txt, read by shapes.py)."""
