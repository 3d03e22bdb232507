"""How figures look: one color for each core in every figure, and colors that people who see few of them tell apart.

Source: Okabe & Ito (2008), "Color universal design", whose colors these are.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import cycle
from typing import Any

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GRAY = "#767676"
PALE = "#D0D0D0"

DIVERGING = "RdBu_r"  # red and blue, apart in every common kind of color blindness

# Yellow is too light for a line on white. Of two names in a label, the first in this order counts.
CORES = {
    "plastic_memory": PURPLE,
    "plastic memory": PURPLE,
    "neuromodulated": ORANGE,
    "retroactive": BLACK,
    "homogeneous": SKY,
    "shared": SKY,
    "plastic": VERMILION,
    "rnn": GRAY,
    "gru": BLUE,
    "lstm": GREEN,
}
OTHERS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, BLACK, GRAY)
DASHES = ("-", "--", "-.", ":")

Styles = dict[str, dict[str, Any]]


def line_styles(labels: Iterable[str]) -> Styles:
    """Return the color and dashes of each label's line: a core's color, or one that is left."""
    colors = {label: next((color for core, color in CORES.items() if core in label.lower()), None) for label in labels}
    left = cycle([color for color in OTHERS if color not in colors.values()] or OTHERS)
    styles: Styles = {}
    used: Counter[str] = Counter()
    for label, own in colors.items():
        color = own or next(left)
        styles[label] = {"color": color, "linestyle": DASHES[used[color] % len(DASHES)]}
        used[color] += 1
    return styles
