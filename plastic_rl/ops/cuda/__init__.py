"""The fused scan on CUDA: Triton kernels, and the backend around them."""
