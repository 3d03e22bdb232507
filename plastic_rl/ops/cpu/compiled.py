"""How the kernels are compiled, kept on disk and run on several threads."""

import contextlib
import hashlib
import logging
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.caching import FunctionCache

_log = logging.getLogger("plastic_rl")
_ready: set[tuple[Any, ...]] = set()


# Nothing here owns memory, so that no references are counted.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}


def called(function: Callable, **options: Any) -> Callable:
    """Compile a function that kernels call without inlining it: a pass that is long enough to be worth a call.

    LLVM's time grows faster than the size of a function. A kernel with all of its passes inside takes minutes. Without
    an entrance for Python, a function takes half as long.
    """
    return numba.njit(**_OPTIONS, no_cpython_wrapper=True, **options)(function)


def inner(function: Callable) -> Callable:
    """Compile a function that is inlined into kernels."""
    return called(function, forceinline=True)


def summing(function: Callable) -> Callable:
    """Compile as `inner` does, with leave to add up in any order, without which LLVM makes no vectors of a sum."""
    return called(function, forceinline=True, fastmath={"reassoc"})


def kernel(function: Callable) -> Any:
    """Compile a kernel that Python calls, and keep the machine code on disk.

    Numba writes beside the source, or into the user's cache folder where that is read-only; with neither, the code is
    compiled again in each process.
    """
    dispatcher = numba.njit(**_OPTIONS, nogil=True)(function)
    with contextlib.suppress(RuntimeError):  # no folder can be written
        dispatcher._cache = _Cache(function)
    return dispatcher


class _Cache(FunctionCache):
    """Numba's cache, which by itself would not notice a change in the files that a kernel's file imports."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _SOURCES)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError, EOFError, pickle.UnpicklingError):  # another version wrote it
            self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk is no reason not to compute
            super().save_overload(sig, data)


def _hash_of_sources() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


_SOURCES = _hash_of_sources()


class _Announcer(event.Listener):
    """Says once in a process what the first call waits for; code that is found on disk is not announced."""

    said = False

    def on_start(self, event: Any) -> None:
        if not _Announcer.said:
            _log.warning("compiling the plastic scan for this machine, once: it takes up to a minute, and is kept")
        _Announcer.said = True

    def on_end(self, event: Any) -> None:
        pass


class _Workers:
    """Threads that wait for kernels: starting them anew can take milliseconds in a process with much memory."""

    def __init__(self) -> None:
        self.forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)  # threads do not survive a fork

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, function: Callable, *arguments: Any) -> Future:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="plastic_scan")
        return self._pool.submit(function, *arguments)


_workers = _Workers()


def run(function: Callable, n_threads: int, n_jobs: int, arguments: Callable[[int, int], tuple]) -> None:
    """Run a kernel for each of some jobs, with `arguments(job, thread)`, on some threads, and wait for all.

    A thread takes the next job when it is done with one: torch's own threads spin for some milliseconds after they have
    worked, and a worker that finds its core taken begins late. Which thread does a job must not change the result. The
    caller's thread takes part. Several callers at once share the workers and wait for their own only.
    """
    _compile(function, arguments(0, 0))
    jobs = deque(range(n_jobs))

    def work(thread: int) -> None:
        with contextlib.suppress(IndexError):
            while True:
                function(*arguments(jobs.popleft(), thread))

    others = [_workers.submit(work, thread) for thread in range(1, min(n_threads, n_jobs))]
    try:
        work(0)
    finally:
        wait(others)
    for other in others:
        other.result()


def _compile(function: Any, arguments: tuple) -> None:
    """Compile for these arguments before threads start, and say so if the disk has no code yet."""
    key = (function, *(getattr(a, "dtype", type(a)) for a in arguments))
    if key in _ready:
        return
    with event.install_listener("numba:compile", _Announcer()):
        function.compile(tuple(numba.typeof(a) for a in arguments))
    _ready.add(key)
