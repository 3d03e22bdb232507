"""The fused scan on the CPU: kernels compiled by Numba, and the backend around them."""

from plastic_rl.ops.cpu.backend import obstacle, scan
from plastic_rl.ops.cpu.step import step

__all__ = ["obstacle", "scan", "step"]
