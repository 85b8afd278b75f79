"""Benchmarks: `make bench`. Every figure stands beside a control measured in the same run on the same machine."""
