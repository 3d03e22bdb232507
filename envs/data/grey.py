"""Image files as grey pictures."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def read_grey(file: Path | IO[bytes], name: str) -> "Image":
    """Return an image file as a picture of grey values (Pillow's mode `L`).

    Args:
        file: where it is, or its content.
        name: what an error calls it.

    Raises:
        ValueError: it is no image, or damaged, or larger than Pillow thinks safe.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return image.convert("L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow raises all of these
        reason = "no kind that is known" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{name} cannot be read as an image: {reason}") from error
