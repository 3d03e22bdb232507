"""The fused scan on CUDA: Triton kernels, and the backend around them."""

from plastic_rl.ops.cuda.backend import obstacle, scan

__all__ = ["obstacle", "scan"]
