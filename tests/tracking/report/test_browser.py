"""The report in a real browser: Debian's chromium, or Chrome."""

import html
import json
import re
import shutil
import subprocess

import pytest

from cnnlab.tracking.compare import compare
from cnnlab.tracking.report import write_report

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or Chrome")

PROBE = """
const column = (index) => Array.from(
  document.querySelectorAll("#groups-table tbody tr"), (row) => row.cells[index].innerText);
const shown = () => Array.from(document.querySelectorAll("#curves .option"))
  .filter((own) => own.offsetParent !== null).map((own) => own.dataset.title);
const press = (index) => document.querySelectorAll("#groups-table th button")[index].click();
found.before = column(2);
press(2); found.once = column(2);
press(2); found.twice = column(2);
press(6); found.holm = column(6);
press(0); found.names = column(0);
found.sorted = document.querySelectorAll("#groups-table th[aria-sort]").length;
found.first = shown();
const select = document.querySelector("#curves select");
select.value = "train/loss"; select.dispatchEvent(new Event("change"));
found.second = shown();
document.querySelector('#groups-table tr[data-group="2"]')
  .dispatchEvent(new Event("pointerenter"));
found.lit = document.querySelectorAll("svg .lit").length;
"""
"""A user: presses titles, chooses a curve, points at a row."""

SIZES = """
found.width = innerWidth;
found.page = document.documentElement.scrollWidth;
const boxes = (what) => Array.from(document.querySelectorAll(what))
  .map((own) => own.getBoundingClientRect()).filter((box) => box.width > 0);
found.charts = boxes("svg[role=img]").map((box) => [box.left, box.right]);
found.heights = boxes("svg text").map((box) => box.height);
const out = document.createElement("pre");
out.className = "probe"; out.textContent = JSON.stringify(found);
parent.document.body.append(out);
"""


def browse(address, tmp_path):
    """The page's elements after its script ran, and what the console says."""
    words = [
        *(
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ),
        *("--disable-extensions", "--disable-background-networking", "--enable-logging=stderr"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,2000", "--dump-dom"),
    ]
    done = subprocess.run([*words, address], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_opened_as_it_is(study, tmp_path):
    """The page's own policy lets its script run, which sorts as the address asks."""
    comparison = study()
    for group in comparison.groups[1:]:
        for point in group.points:
            point.run.name = "</td><script>document.title='pwned'</script><img src=x onerror=x>"
    comparison.notes.append("<script>document.title='pwned'</script>")
    path = tmp_path / "report.html"
    write_report(comparison, path)
    dom, console = browse(f"file://{path}#sort=groups,2,ascending", tmp_path)
    assert console == []
    assert '<html lang="en" class="js">' in dom
    assert "<title>resnext_groups: supported, contradicted</title>" in dom
    table = dom[dom.index('<table id="groups-table">') :]
    rows = re.findall(r"<tr.*?</tr>", table[: table.index("</table>")])
    order = sorted(comparison.groups, key=lambda g: g.mean)
    assert len(rows) == 1 + len(order)
    for row, group in zip(rows[1:], order, strict=True):
        assert f"<span>{group.name}</span>" in row
    assert 'aria-sort="ascending"' in rows[0]
    assert dom.count('class="option chosen"') == 2


def test_used_on_a_phone(study, a_run, tmp_path):
    names = "a_backbone_with_quite_a_long_name_of_forty_characters"
    runs = [a_run(g, s, keys={"model.name": f"{names}{g}"}) for g in (1, 8) for s in (0, 1)]
    other = compare(runs, metric=None, cost="gmacs", by=None, baseline=None)
    other.warnings.append("a_line_without_a_blank_" * 10)
    frames = [framed(study(), tmp_path, PROBE + SIZES), framed(other, tmp_path, SIZES)]
    path = tmp_path / "phone.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{''.join(frames)}")
    dom, console = browse(f"file://{path}", tmp_path)
    assert console == []
    probes = re.findall(r'<pre class="probe">(.*?)</pre>', dom)
    both = [json.loads(html.unescape(text)) for text in probes]
    assert len(both) == 2
    for found in both:
        assert found["width"] == 390
        assert found["page"] <= 390  # nothing to scroll sideways but tables in their boxes
        assert all(0 <= left < right <= 390 for left, right in found["charts"])
        assert min(found["heights"]) >= 12  # pixels: the text of charts can be read
    found = next(found for found in both if "once" in found)
    assert len(found["before"]) == 5
    means = [float(text) for text in found["before"]]
    assert [float(text) for text in found["once"]] == sorted(means, reverse=True)
    assert [float(text) for text in found["twice"]] == sorted(means)
    assert found["holm"][-1] == "-"  # the baseline has none, which comes last
    assert [name.split()[0] for name in found["names"]] == ["g1", "g2", "g4", "g8", "g32"]
    assert found["sorted"] == 1
    assert (found["first"], found["second"]) == (["val/top1"], ["train/loss"])
    assert found["lit"] > 0


def framed(comparison, tmp_path, probe):
    """The report in a frame as wide as a phone; a window of the browser cannot be so narrow."""
    path = tmp_path / "report.html"
    write_report(comparison, path)
    # The page lets no foreign script run: its policy makes way for the probe.
    text = re.sub(r"<meta http-equiv[^>]*>", "", path.read_text())
    text = text.replace("</body>", f"<script>{{const found = {{}};{probe}}}</script></body>")
    style = "width:390px;height:2000px;border:0"
    return f'<iframe srcdoc="{html.escape(text)}" style="{style}"></iframe>'
