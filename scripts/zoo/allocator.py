"""The C library's allocator."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let freed memory be used again instead of giving it back to the system, which clears every page of it anew.

    A training allocates and frees the same tens of megabytes at each of its steps: with convolutions a third of its
    time went into that. Does nothing where the C library is not glibc.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)
