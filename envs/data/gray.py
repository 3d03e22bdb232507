"""Image files as gray pictures, whatever mode they are saved in."""

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# What white may be in a picture of numbers; the least one that no pixel is above.
_WHITE = (255, 4095, 65535)
_PHOTOMETRIC = 262  # a tag of TIFF


def read_gray(file: Path | IO[bytes], name: str) -> "Image":
    """Return an image file as a picture of gray values (Pillow's mode `L`), upright.

    Numbers of more than 8 bits are scaled: white is 1 for floats up to 1, else the least of 255, 4,095 and 65,535 that
    no pixel is above; other numbers are stretched from the least to the greatest. What is transparent shows a white
    ground, or a black one where nothing can be seen on white.

    Args:
        file: where it is, or its content.
        name: what an error calls it.

    Raises:
        ValueError: it is no image, or damaged, or larger than Pillow thinks safe.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
            image.load()
            return _gray(_upright(image), white_is_zero)
    except Exception as error:  # a damaged file makes Pillow stumble in many ways
        reason = "no kind that is known" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{name} cannot be read as an image: {reason}") from error


def _upright(image: "Image") -> "Image":
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # what the camera wrote beside the picture is damaged
        return image


def _gray(image: "Image", white_is_zero: bool) -> "Image":
    from PIL import Image, ImageCms

    if image.mode == "F" or image.mode.startswith("I"):
        numbers = np.asarray(image)
        gray = _scaled(numbers)
        picture = Image.fromarray(255 - gray if white_is_zero else gray)  # Pillow does so for 8 bits only
        if "transparency" not in image.info:
            return picture
        picture.putalpha(Image.fromarray(255 * (numbers != image.info["transparency"]).astype(np.uint8)))
        return _on_a_ground(picture.convert("RGBA"))
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform: Any = ImageCms.buildTransform(*profiles, "LAB", "RGB")
        image = transform.apply(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return _on_a_ground(image.convert("RGBA"))
    return image.convert("L")


def _scaled(numbers: np.ndarray) -> np.ndarray:
    """Return whole or floating-point numbers as gray values, uint8."""
    values = numbers.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are NaN or infinite")
    least, greatest = values.min(), values.max()
    known = (1, *_WHITE) if numbers.dtype.kind == "f" else _WHITE
    white = next((white for white in known if least >= 0 and greatest <= white), None)
    if white is None:
        values, white = values - least, greatest - least
    return np.rint(values * (255 / white)).astype(np.uint8)


def _on_a_ground(image: "Image") -> "Image":
    from PIL import Image

    for white in (255, 0):
        ground = Image.new("RGBA", image.size, (white, white, white, 255))
        gray = Image.alpha_composite(ground, image).convert("L")
        least, greatest = gray.getextrema()
        if least != greatest:
            break
    return gray
