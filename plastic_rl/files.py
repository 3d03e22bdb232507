"""Writing files that are whole at every moment."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under another name, then rename it: whoever reads it finds the old content or the new one.

    Raises:
        OSError: it cannot be written; nothing is left of it, and what was there before is untouched.
    """
    part = path.with_suffix(f".{os.getpid()}.part")  # another process may write the same file
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
