"""Drawing for render modes: a window (pygame, imported when one opens) and a small canvas (Pillow).

Coordinates are in pixels, x to the right and y down; colors are (red, green, blue), 0 to 255.
"""

from typing import Any

import numpy as np

Color = tuple[int, int, int]

WHITE: Color = (255, 255, 255)
PAPER: Color = (250, 248, 243)
INK: Color = (45, 48, 56)
STONE: Color = (86, 92, 105)
GRID: Color = (226, 222, 212)
BLUE: Color = (52, 116, 186)
GOLD: Color = (232, 170, 36)
GREEN: Color = (76, 153, 92)
RED: Color = (200, 72, 62)


class Canvas:
    """A picture being drawn, of so many pixels, at `scale` times its size so that edges come out smooth."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw  # only those who render need it

        self.scale = 3
        self._image = Image.new("RGB", (width * self.scale, height * self.scale), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(self, x: float, y: float, width: float, height: float, color: Color, radius: float = 0) -> None:
        """Fill a rectangle, given its upper left corner; its corners are rounded by `radius`."""
        s = self.scale
        box = (x * s, y * s, (x + width) * s - 1, (y + height) * s - 1)
        if width > 0 and height > 0:
            self._draw.rounded_rectangle(box, radius * s, fill=color)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        """Fill a disc, given its center."""
        s = self.scale
        self._draw.ellipse(((x - radius) * s, (y - radius) * s, (x + radius) * s, (y + radius) * s), fill=color)

    def text(self, x: float, y: float, text: str, color: Color = INK, size: int = 14) -> None:
        """Write a line, given its upper left corner."""
        from PIL import ImageFont

        font: Any = ImageFont.load_default(size * self.scale)
        self._draw.text((x * self.scale, y * self.scale), text, fill=color, font=font)

    def bar(self, x: float, y: float, width: float, height: float, fraction: float) -> None:
        """Draw a bar that is filled to `fraction` (0 to 1), for the time elapsed in an episode."""
        self.rectangle(x, y, width, height, GRID, height / 2)
        if fraction > 0:
            self.rectangle(x, y, max(height, width * fraction), height, BLUE, height / 2)

    def picture(self, x: float, y: float, width: int, height: int, image: np.ndarray) -> None:
        """Place an image, (h, w) or (h, w, 3) uint8, stretched with sharp pixels."""
        from PIL import Image

        s = self.scale
        stretched = Image.fromarray(image).convert("RGB").resize((width * s, height * s), Image.Resampling.NEAREST)
        self._image.paste(stretched, (round(x * s), round(y * s)))

    def frame(self) -> np.ndarray:
        """Return the picture, (height, width, 3) uint8."""
        return np.array(self._image.reduce(self.scale), np.uint8)


class Window:
    """A window that shows frames, at the pace they are meant for.

    Args:
        title: what its bar says.

    Raises:
        gymnasium.error.DependencyNotInstalled: pygame is missing.
    """

    def __init__(self, title: str) -> None:
        try:
            import pygame
        except ImportError as error:
            from gymnasium.error import DependencyNotInstalled

            message = "render_mode='human' needs pygame: pip install 'plastic_rl[render]'"
            raise DependencyNotInstalled(message) from error
        self._pygame: Any = pygame
        self._title = title
        self._screen: Any = None
        pygame.display.init()
        self._clock = pygame.time.Clock()

    def show(self, frame: np.ndarray, fps: float) -> None:
        """Show a frame, (height, width, 3) uint8, and wait until its time is over."""
        size = (frame.shape[1], frame.shape[0])
        if self._screen is None or self._screen.get_size() != size:
            self._screen = self._pygame.display.set_mode(size)
            self._pygame.display.set_caption(self._title)
        self._pygame.event.pump()
        self._screen.blit(self._pygame.surfarray.make_surface(np.swapaxes(frame, 0, 1)), (0, 0))
        self._pygame.display.flip()
        self._clock.tick(fps)

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
