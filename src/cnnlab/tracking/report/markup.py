"""HTML and SVG elements; every text and attribute is escaped unless it is an element itself."""

import html
from collections.abc import Iterable

_VOID = ("meta", "wbr")
"""Elements without an end. In SVG there are none: `<path>` would take in what follows it."""


class Html(str):
    """Markup; a plain `str` is text."""


Child = str | Iterable["Child"] | None
"""Text, markup, several of them, or nothing."""


def tag(name: str, /, *children: Child, **attributes: object) -> Html:
    """`tag("td", "a < b", class_="x", data_sort=1)` is `<td class="x" data-sort="1">a &lt; b</td>`.

    Args:
        name: of the element.
        children: text is escaped, `Html` is not; None is left out.
        attributes: `_` stands for `-`, `class_` for `class`; None and False are left out, True is
            an attribute without a value, a float has at most two decimals (pixels).
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        words.append(key if value is True else f'{key}="{html.escape(text)}"')
    start = f"<{' '.join(words)}>"
    return Html(start if name in _VOID else f"{start}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """One behind the other."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(str(child))
        elif isinstance(child, str):
            parts.append(html.escape(child))
        else:
            parts.append(join(child))
    return Html("".join(parts))
