"""The file of a checkpoint: its format, how it is written atomically, and which ones are kept."""

import hashlib
import io
import os
import pickle
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plastic_rl.files import write_whole

FORMAT = 2
KEPT = 2
_DIGEST = hashlib.sha256().digest_size
_KINDS = "biufc"  # of arrays that torch holds: bool, integers, floating-point and complex numbers


class DamagedCheckpointError(ValueError):
    """A file that is no whole checkpoint, or holds what is not loaded."""


class OtherFormatError(ValueError):
    """A whole checkpoint of another version of this package."""


def write(state: dict[str, Any], folder: Path, num_timesteps: int) -> Path:
    """Write a checkpoint into a folder, and delete all but the last two; a file there is whole at every moment.

    Args:
        state: dicts, lists and tuples of tensors, arrays, numbers and strings; `plain` makes them readable.
        folder: of the checkpoints.
        num_timesteps: steps of the training so far, which name the file.

    Raises:
        OSError: it cannot be written; nothing is left of it, and the ones before are untouched.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "plastic_rl": version("plastic_rl"), **plain(state)}, buffer)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{num_timesteps:015d}.pt"
    write_whole(path, content + hashlib.sha256(content).digest())
    _sync_folder(folder)
    for old in [*checkpoints(folder)[:-KEPT], *folder.glob("*.part")]:  # a part is what a kill may leave
        old.unlink()
    return path


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; nothing that it holds is executed.

    Raises:
        DamagedCheckpointError: the file is cut off or changed, or holds something else than a checkpoint does.
        OtherFormatError: it is of a version that cannot be read.
    """
    content = path.read_bytes()
    if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
        raise DamagedCheckpointError(f"checkpoint {path.name} is damaged: its content does not fit its checksum")
    try:
        state = torch.load(io.BytesIO(content[:-_DIGEST]), map_location="cpu", weights_only=True)
        found = state["format"]
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, TypeError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {path.name} holds something other than tensors, numbers and strings, which is not loaded"
        ) from error
    if found != FORMAT:
        raise OtherFormatError(
            f"checkpoint {path.name} is of format {found}, written by plastic_rl {state.get('plastic_rl')}; "
            f"this version reads format {FORMAT}"
        )
    return state


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest last."""
    return sorted(folder.glob("*.pt"))


def plain(value: Any) -> Any:
    """Return the same in types that are read back without executing anything.

    Arrays and NumPy's numbers become tensors. Anything else that is no Python number, string, bytes, dict, list or
    tuple (an `Enum`, a `Path`, a date) becomes its text.
    """
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()  # another process may have no GPU of that number
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            return plain(array.tolist())
        if array.dtype.kind not in _KINDS or array.dtype in (np.longdouble, np.clongdouble):
            return array.astype(str).tolist() if array.dtype.kind != "V" else str(value)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    if isinstance(value, dict):
        return {key if type(key) in (str, int) else str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(entry) for entry in value)
    if isinstance(value, list | deque):
        return [plain(entry) for entry in value]
    return str(value)


def is_plain(value: Any) -> bool:
    """Say whether `plain` keeps a value, and makes no text of any part of it."""
    if isinstance(value, dict):
        return all(type(key) in (str, int) and is_plain(entry) for key, entry in value.items())
    if isinstance(value, list | tuple | deque):
        return all(map(is_plain, value))
    if isinstance(value, np.ndarray | np.generic):
        return isinstance(plain(value), torch.Tensor)
    return plain(value) is value or isinstance(value, torch.Tensor)


def arrays(value: Any) -> Any:
    """Return what `plain` returned with NumPy's arrays and numbers in the place of tensors."""
    if isinstance(value, dict):
        return {key: arrays(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(arrays(entry) for entry in value)
    return value.cpu().numpy()[()] if isinstance(value, torch.Tensor) else value


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
