"""Tensors in the form that the fused kernels read, and back."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plastic_rl.ops.simd import BYTES
from plastic_rl.ops.sweeps import ROWS

_ALIGNMENT = 64


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Return an uninitialised buffer of a tensor's dtype.

    From numpy, which asks Linux for huge pages: to touch 80 MB for the first time then takes 5 ms instead of 30.
    """
    n_bytes = math.prod(shape) * like.dtype.itemsize
    memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return torch.from_numpy(memory[begin : begin + n_bytes]).view(like.dtype).view(shape)


def columns_of(n: int, dtype: torch.dtype) -> int:
    """Return N padded to whole vectors."""
    lanes = BYTES // dtype.itemsize
    return -(-n // lanes) * lanes


def pack(matrix: Tensor) -> Tensor:
    """Return (..., N, N) as (..., size): padded with zeros and cut into tiles of ROWS rows by one vector of columns."""
    *batch, n, _ = matrix.shape
    lanes = BYTES // matrix.dtype.itemsize
    columns = columns_of(n, matrix.dtype)
    padded = F.pad(matrix, (0, columns - n, 0, -n % ROWS))
    tiles = padded.view(*batch, -1, ROWS, columns // lanes, lanes).transpose(-2, -3)
    return tiles.reshape(*batch, -1)


def unpack(packed: Tensor, n: int) -> Tensor:
    """Return (..., size), packed, as contiguous (..., N, N)."""
    batch = packed.shape[:-1]
    lanes = BYTES // packed.dtype.itemsize
    columns = columns_of(n, packed.dtype)
    rows = packed.view(*batch, -1, columns // lanes, ROWS, lanes).transpose(-2, -3)
    return rows.reshape(*batch, -1, columns)[..., :n, :n].contiguous()


def padded(vector: Tensor | None, like: Tensor) -> Tensor:
    """Return (N,) or a number as a vector of whole registers, zeros if None; `like` (..., N) gives N and dtype."""
    n = like.shape[-1]
    result = like.new_zeros(columns_of(n, like.dtype))
    if vector is not None:
        result[:n] = vector
    return result
