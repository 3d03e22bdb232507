"""How the kernels are compiled, kept on disk and run on several threads."""

import contextlib
import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.caching import FunctionCache

_log = logging.getLogger("plastic_rl")
_ready: set[tuple[Any, ...]] = set()


def inner(function: Callable) -> Callable:
    """Compile a function that is called by kernels."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def kernel(function: Callable) -> Any:
    """Compile a kernel that Python calls, and keep the machine code on disk.

    Numba writes beside the source, or into the user's cache folder where that is read-only; with neither, the code is
    compiled again in each process.
    """
    dispatcher = inner(function)
    with contextlib.suppress(RuntimeError):  # no folder can be written
        dispatcher._cache = _Cache(function)  # type: ignore[attr-defined]
    return dispatcher


class _Cache(FunctionCache):
    """Numba's cache, which by itself would not notice a change in the files that a kernel's file imports."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _SOURCES)

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
            _log.warning("compiling the plastic scan for this machine, once: it takes some seconds and is kept on disk")
        _Announcer.said = True

    def on_end(self, event: Any) -> None:
        pass


def run(function: Callable, n_threads: int, arguments: Callable[[int], tuple]) -> None:
    """Run a kernel once in each of some threads, with `arguments(thread)`, and wait for all.

    The threads live as long as the call. Nothing global remains that a fork could lose or that two callers could share,
    and starting them costs some ten microseconds.
    """
    _compile(function, arguments(0))
    if n_threads == 1:
        function(*arguments(0))
        return
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            function(*arguments(thread))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(1, n_threads)]
    for thread in threads:
        thread.start()
    work(0)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _compile(function: Any, arguments: tuple) -> None:
    """Compile for these arguments before threads start, and say so if the disk has no code yet."""
    key = (function, *(getattr(a, "dtype", type(a)) for a in arguments))
    if key in _ready:
        return
    with event.install_listener("numba:compile", _Announcer()):
        function.compile(tuple(numba.typeof(a) for a in arguments))
    _ready.add(key)
