"""Colours that people tell apart who see few of them, and marks that tell the rest.

Source: Okabe & Ito (2008), "Color universal design", whose eight colours these are.
"""

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#767676"
PALE = "#D0D0D0"

DIVERGING = "RdBu_r"  # red and blue, apart in every common kind of colour blindness

# Yellow is too light for a line on white.
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX"


def line_style(index: int) -> dict[str, str]:
    """Return the colour and dashes of the line of this number, different for the first 28."""
    return {"color": LINES[index % len(LINES)], "linestyle": DASHES[(index + index // len(LINES)) % len(DASHES)]}
