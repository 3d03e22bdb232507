"""Tensors in the form that the fused kernels read, and back.

Through numpy, on one thread: torch's own threads would keep spinning on the cores that the kernels want next.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from plastic_rl.ops.cpu import memory
from plastic_rl.ops.cpu.simd import BYTES
from plastic_rl.ops.cpu.tiles import ROWS

_ALIGNMENT = 64


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Return an uninitialized buffer of a tensor's dtype.

    From numpy, which asks Linux for huge pages: to touch 80 MB for the first time then takes 5 ms instead of 30.
    """
    n_bytes = math.prod(shape) * like.dtype.itemsize
    memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return torch.from_numpy(memory[begin : begin + n_bytes]).view(like.dtype).view(shape)


def columns_of(like: Tensor) -> int:
    """Return N, a tensor's last dimension, padded to whole vectors."""
    lanes = BYTES // like.dtype.itemsize
    return -(-like.shape[-1] // lanes) * lanes


def size_of(like: Tensor) -> int:
    """Return how many numbers a packed N x N matrix has, N a tensor's last dimension."""
    return -(-like.shape[-1] // ROWS) * ROWS * columns_of(like)


def pack(matrix: Tensor) -> Tensor:
    """Return (N, N) as (size,): padded with zeros and cut into tiles of ROWS rows by one vector of columns."""
    n, columns, lanes = len(matrix), columns_of(matrix), BYTES // matrix.dtype.itemsize
    padded = np.zeros((-(-n // ROWS) * ROWS, columns), matrix.detach().numpy().dtype)
    padded[:n, :n] = matrix.detach().numpy()
    packed = fresh(matrix, padded.size)
    packed.numpy()[:] = padded.reshape(-1, ROWS, columns // lanes, lanes).transpose(0, 2, 1, 3).reshape(-1)
    return packed


def unpack(packed: Tensor, n: int) -> Tensor:
    """Return (size,), packed, as (N, N)."""
    lanes = BYTES // packed.dtype.itemsize
    columns = -(-n // lanes) * lanes
    tiles = packed.numpy().reshape(-1, columns // lanes, ROWS, lanes).transpose(0, 2, 1, 3)
    return torch.from_numpy(tiles.reshape(-1, columns)[:n, :n].copy())


def padded(vector: Tensor | None, like: Tensor, size: int) -> Tensor:
    """Return (N,) or a number as a vector of `size` numbers, zeros if None; `like` (..., N) gives N and dtype."""
    result = like.new_zeros(size)
    if vector is not None:
        result[: like.shape[-1]] = vector.detach()
    return result


def in_blocks(like: Tensor) -> int:
    """Return how many columns a block of the memory kernels has."""
    return memory.VECTORS * BYTES // like.dtype.itemsize


def blocked(matrix: Tensor) -> Tensor:
    """Return (K, N) as (blocks, K * width): columns in blocks, rows padded to whole groups, both with zeros."""
    width = in_blocks(matrix)
    k, n = matrix.shape
    whole = functional.pad(matrix.detach(), (0, -n % width, 0, -k % memory.ROWS))
    return whole.view(len(whole), -1, width).transpose(0, 1).reshape(whole.shape[1] // width, -1)


def unblocked(blocks: Tensor, k: int, n: int) -> Tensor:
    """Return (blocks, K * width) as (K, N)."""
    width = in_blocks(blocks)
    return blocks.view(len(blocks), -1, width).transpose(0, 1).reshape(-1, len(blocks) * width)[:k, :n]
