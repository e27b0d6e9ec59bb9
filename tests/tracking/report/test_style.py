"""The page on a phone and on paper, told from its style and elements: no browser is needed."""

import re
from importlib.resources import files

import pytest

from cnnlab.tracking.report.page import page

PHONE = 390  # CSS pixels
NARROW, PRINT, DARK = "(max-width: 800px)", "print", "(prefers-color-scheme: dark)"
Rules = dict[str, dict[str, str]]


def rules(text: str) -> Rules:
    """By selector its declarations; of two of one property the later one counts."""
    found: Rules = {}
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
        for selector in selectors.split(","):
            own = found.setdefault(" ".join(selector.split()), {})
            own |= dict(re.findall(r"([\w-]+)\s*:\s*([^;]+)", body))
    return found


@pytest.fixture(scope="module")
def media() -> dict[str, Rules]:
    """The rules of every medium; "" has those of all."""
    text = (files("cnnlab.tracking.report") / "style.css").read_text("utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert text.count("{") == text.count("}")
    inside = re.compile(r"@media ([^{]+)\{((?:[^{}]*\{[^{}]*\})*)\s*\}")
    return {"": rules(inside.sub("", text))} | {
        m[1].strip(): rules(m[2]) for m in inside.finditer(text)
    }


def seen(media: dict[str, Rules], selector: str, name: str, *those: str) -> str | None:
    """What a property of a selector is where `those` media apply, in their order on the page."""
    value = None
    for medium in ("", *those):
        value = media[medium].get(selector, {}).get(name, value)
    return value


@pytest.mark.parametrize(
    ("those", "wide", "narrow"),
    [
        ((), None, "none"),
        ((NARROW,), "none", "block"),
        ((PRINT,), "block", "none"),
        ((NARROW, PRINT), "block", "none"),  # paper is as narrow as a phone in some browsers
    ],
)
def test_of_every_chart_one_drawing_is_seen(media, those, wide, narrow):
    assert seen(media, ".wide", "display", *those) == wide
    assert seen(media, ".narrow", "display", *those) == narrow


def test_charts_fill_a_phone_and_can_be_read(media, study):
    """The text of a chart is scaled with it: from its own size to the screen's width."""
    text = page(study())
    figures = re.split(r"<figure[ >]", text)[1:]
    assert len(figures) > 5
    margin = 2 * int(re.search(r"(\d+)px", media[NARROW]["main"]["padding"].split()[1])[1])
    size = int(media[""]["svg text"]["font-size"].removesuffix("px"))
    for figure in figures:
        assert (figure.count('class="wide"'), figure.count('class="narrow"')) == (1, 1)
        narrow = figure[figure.index('class="narrow"') :]
        width = float(re.search(r'viewBox="0 0 ([\d.]+) ', narrow)[1])
        assert size * (PHONE - margin - 40) / width >= 12  # 40: a card around it
    assert media[""]["figure svg"]["width"] == "100%"
    assert 'content="width=device-width, initial-scale=1"' in text


def test_wide_tables_scroll_in_their_boxes_and_are_whole_on_paper(media, study):
    text = page(study())
    tables = [match.start() for match in re.finditer("<table", text)]
    assert len(tables) >= 4
    for start in tables:
        assert re.search(r'<div class="scroll[^>]*>$', text[:start])
    assert seen(media, ".scroll", "overflow-x") == "auto"
    assert seen(media, ".scroll.long", "overflow-y") == "auto"
    for box in (".scroll", ".scroll.long"):
        assert seen(media, box, "overflow", PRINT) == "visible"
        assert seen(media, box, "max-height", PRINT) == "none"
    assert seen(media, "thead th", "position", PRINT) == "static"


def test_paper_is_white_whatever_the_screen_is(media):
    paper = media[PRINT][":root"]
    assert media[DARK][":root"].keys() <= media[""][":root"].keys() == paper.keys()
    assert paper["--paper"] == paper["--panel"] == "#fff"
    assert paper["--ink"] == paper["--c0"] == "#000"


def test_what_is_pressed_is_not_printed(media):
    assert media[PRINT][".js .picker"]["display"] == "none"
    assert media[PRINT]["th button::after"]["content"] == '""'
    assert media[PRINT][".js .option.chosen h3"]["display"] == "block"  # its title, instead
