"""The fused scan on the CPU: kernels compiled by Numba, and the backend around them."""
