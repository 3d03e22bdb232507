"""Where data sets lie, and what every reader does: read a folder or an archive, and keep the result as one array."""

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from plastic_rl.files import write_whole

ROOT_VARIABLE = "PLASTIC_RL_DATA"


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Return the folder of the data sets: `root`, else the environment variable PLASTIC_RL_DATA, else the user's cache.

    The user's cache is `$XDG_CACHE_HOME/plastic_rl`, by default `~/.cache/plastic_rl`; for a user without a home
    directory, as in some containers, it is `plastic_rl` in the folder for temporary files.

    Raises:
        TypeError: `root` is no path.
        ValueError: it begins with `~`, and there is no home directory.
    """
    if root is not None and not isinstance(root, str | os.PathLike):
        raise TypeError(f"root must be the path of a folder or None, got {root!r}")
    chosen = root or os.environ.get(ROOT_VARIABLE)
    if chosen:
        return expanded(chosen)
    try:
        return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "plastic_rl"
    except ValueError:
        return Path(gettempdir()) / "plastic_rl"


def expanded(path: str | os.PathLike) -> Path:
    """Return a path with the home directory for `~`.

    Raises:
        ValueError: there is no home directory.
    """
    whole = os.path.expanduser(path)  # pathlib's expands the `~name` of "./~name", too
    if whole == str(path) and whole.startswith("~"):
        raise ValueError(f"{path!s} needs a home directory, and this user has none: give the whole path")
    return Path(whole)


def missing(data_set: str, looked_for: list[str], root: Path) -> FileNotFoundError:
    """Return the error that says how to get a data set."""
    return FileNotFoundError(
        f"{data_set} is not in {root} (looked for {' or '.join(looked_for)}); get it with:\n"
        f"    python -m plastic_rl data {data_set} --root {root}"
    )


def members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file in a folder, zip or tar archive whose name ends in one of `suffixes`.

    Nothing is extracted. Names are relative, with forward slashes, in sorted order.

    Raises:
        ValueError: the archive is damaged; the message names it.
    """
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.name.endswith(suffixes) and file.is_file():
                    yield file.relative_to(path).as_posix(), file.read_bytes()
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(suffixes):
                        yield name, archive.read(name)
        else:
            with tarfile.open(path) as archive:
                for entry in sorted(archive.getmembers(), key=lambda entry: entry.name):
                    content = archive.extractfile(entry) if entry.name.endswith(suffixes) else None
                    if content is not None:
                        yield entry.name, content.read()
                assert archive.fileobj is not None
                while archive.fileobj.read(2**20):  # gzip checks its sum at the very end, which tarfile does not reach
                    pass
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise ValueError(f"{path} is damaged or cut short ({reason}); delete it and get it again") from error


def cached(sources: list[Path], name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return an array made from files, from the copy kept beside them unless one of the files is newer.

    Args:
        sources: what the array is made from; the copy lies in the folder of the first.
        name: of the copy, without its ending.
        make: makes the array.

    Returns:
        The array, read-only.
    """
    copy = sources[0].parent / f"{name}.npy"
    newest = max(source.stat().st_mtime for source in sources)
    if copy.exists() and copy.stat().st_mtime >= newest:
        try:
            array = np.load(copy, allow_pickle=False)
        except (ValueError, EOFError, OSError):  # a damaged copy is made again
            pass
        else:
            array.setflags(write=False)
            return array
    array = make()
    content = BytesIO()
    np.save(content, array, allow_pickle=False)
    with suppress(OSError):  # the folder cannot be written, or the disk is full: it is not kept
        write_whole(copy, content.getvalue())
    array.setflags(write=False)
    return array
