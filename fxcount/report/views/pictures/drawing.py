"""SVG as text: elements with escaped texts, on white paper, in fonts that are everywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

from fxcount.wording import visible

__all__ = ["data_uri", "document", "element", "text"]

_FONTS = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


def element(name: str, *inside: str, **attributes: object) -> str:
    """One element; ``_`` in names of attributes is ``-``, and attributes of ``None`` are left out.

    >>> element("line", x1=0, stroke_width=2, fill=None)
    '<line x1="0" stroke-width="2"/>'
    """
    said = "".join(
        [f' {k.rstrip("_").replace("_", "-")}="{html.escape(str(v))}"' for k, v in attributes.items() if v is not None]
    )
    return f"<{name}{said}>{''.join(inside)}</{name}>" if inside else f"<{name}{said}/>"


def text(x: float, y: float, said: str, *, size: float = 12, most: int = 0, **attributes: object) -> str:
    """A line of text, cut to ``most`` characters.

    >>> text(1, 2, "<b>", fill="red")
    '<text x="1" y="2" font-size="12" fill="red">&lt;b&gt;</text>'
    """
    shown = visible(said)
    if most and len(shown) > most:
        shown = shown[: max(most - 1, 1)] + "…"
    return element("text", html.escape(shown), x=round(x, 1), y=round(y, 1), font_size=size, **attributes)


def document(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A whole picture."""
    return element(
        "svg", element("title", html.escape(visible(title))),
        element("rect", width=round(width), height=round(height), fill="#ffffff"), *parts,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {round(width)} {round(height)}", width=round(width),
        height=round(height), font_family=_FONTS, role="img",
    )  # fmt: skip


def data_uri(picture: str) -> str:
    """The picture as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(picture.encode("utf-8", "replace")).decode("ascii")
