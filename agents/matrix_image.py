"""Matrices as pictures, drawn quickly: red above zero, blue below, white at zero."""

import numpy as np

RED, BLUE, WHITE = np.array([178, 24, 43]), np.array([33, 102, 172]), 247
SIDE = 256  # pixels that a picture has at least
MARGIN = 34  # pixels above it, for two lines of text


def diverging_colors(matrix: np.ndarray, most: float) -> np.ndarray:
    """Return the colors of values on a scale from -most to most.

    Args:
        matrix: of any shape.
        most: more than 0; what is beyond has the darkest color.

    Returns:
        (*matrix.shape, 3) uint8.
    """
    strength = np.clip(matrix / most, -1, 1)[..., None]
    ends = np.where(strength > 0, RED, BLUE)
    return (WHITE + (ends - WHITE) * np.abs(strength)).astype(np.uint8)


def matrix_image(matrix: np.ndarray, title: str) -> np.ndarray:
    """Draw a matrix of connections, enlarged, below its title and its scale.

    Args:
        matrix: (I, J), presynaptic rows.
        title: what it is.

    Returns:
        (height, width, 3) uint8.
    """
    from PIL import Image, ImageDraw, ImageFont  # only those who log pictures need it

    # A few connections are much stronger than the rest: 1 in 500 is beyond the scale.
    most = float(np.quantile(np.abs(matrix), 0.998)) or 1.0
    times = -(-SIDE // max(matrix.shape))
    cells = Image.fromarray(diverging_colors(matrix, most)).resize(
        (matrix.shape[1] * times, matrix.shape[0] * times), Image.Resampling.NEAREST
    )
    image = Image.new("RGB", (max(SIDE, cells.width), cells.height + MARGIN), (255, 255, 255))
    image.paste(cells, (0, MARGIN))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.text((2, 1), title, fill=(0, 0, 0), font=font)
    draw.text((2, 17), f"{-most:.2g} blue, {most:.2g} red; rows presynaptic", fill=(90, 90, 90), font=font)
    return np.asarray(image)
