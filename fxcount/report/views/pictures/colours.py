"""Colours that colour-blind readers can tell apart, and what stands beside them: a letter, an outline, a number.

Costs are cividis on a logarithmic scale; groups are Okabe and Ito's eight colours with an outline and a letter.
"""

from __future__ import annotations

import math

__all__ = ["GROUPS", "HEAT", "heat", "ink", "letter", "share_level"]

HEAT = ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838")
"""Cividis (Nuñez, Anderton and Renslow 2018) from least to most."""

GROUPS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999")
"""Okabe and Ito 2008; grey stands for their black, which is the colour of text."""

_DECADES = 4.0


def share_level(share: float) -> float:
    """Where a share of the whole is on the scale, from 0 (a ten-thousandth or less) to 1 (all of it).

    >>> share_level(1.0), share_level(0.01), share_level(0.0)
    (1.0, 0.5, 0.0)
    """
    return 0.0 if share <= 0 else min(max(1 + math.log10(share) / _DECADES, 0.0), 1.0)


def heat(share: float) -> str:
    """The colour of a share of the whole.

    >>> heat(1.0), heat(0.0)
    ('#fee838', '#00224e')
    """
    place = share_level(share) * (len(HEAT) - 1)
    low = min(int(place), len(HEAT) - 2)
    part = place - low
    channels = [(int(HEAT[low][i : i + 2], 16), int(HEAT[low + 1][i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join([f"{round(a + (b - a) * part):02x}" for a, b in channels])


def ink(background: str) -> str:
    """Black or white, whichever is read better on a colour.

    >>> ink("#fee838"), ink("#00224e")
    ('#000000', '#ffffff')
    """
    red, green, blue = (_linear(int(background[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


def _linear(channel: float) -> float:
    """Of sRGB, as WCAG has it."""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def letter(number: int) -> str:
    """The name of a group: A to Z, then AA and so on.

    >>> letter(0), letter(25), letter(26)
    ('A', 'Z', 'AA')
    """
    found = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        found = chr(65 + rest) + found
    return found
