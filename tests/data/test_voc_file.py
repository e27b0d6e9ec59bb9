from pathlib import Path
from xml.etree import ElementTree

import pytest
from torchvision.datasets import VOCDetection

from cnnlab.data.voc_file import read_voc
from cnnlab.errors import UserError

XML = """<annotation>
  <folder>VOC2007</folder><filename>000001.jpg</filename>
  <size><width>353</width><height>500</height><depth>3</depth></size>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>48</xmin><ymin>240</ymin><xmax>195</xmax><ymax>371</ymax></bndbox></object>
  <object><name> person </name><difficult>1</difficult>
    <part><name>head</name>
      <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></part>
    <bndbox><xmax>352.5</xmax><xmin>8</xmin><ymin>12</ymin><ymax>498</ymax></bndbox></object>
</annotation>
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "a.xml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_size_and_objects(tmp_path: Path) -> None:
    height, width, objects = read_voc(written(tmp_path, XML))
    assert (height, width) == (500, 353)
    assert objects == [
        ("dog", (48, 240, 195, 371), False),
        ("person", (8, 12, 352.5, 498), True),
    ]


def test_as_torchvision_parses_it(tmp_path: Path) -> None:
    file = written(tmp_path, XML)
    theirs = VOCDetection.parse_voc_xml(ElementTree.parse(file).getroot())["annotation"]
    height, width, objects = read_voc(file)
    assert [str(width), str(height)] == [theirs["size"][side] for side in ("width", "height")]
    for ours, other in zip(objects, theirs["object"], strict=True):
        corners = [float(other["bndbox"][c]) for c in ("xmin", "ymin", "xmax", "ymax")]
        assert ours == (other["name"].strip(), tuple(corners), other["difficult"] == "1")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + XML.replace("dog", "chien été")
    assert read_voc(written(tmp_path, text.encode(encoding))).objects[0].name == "chien été"


def test_what_may_be_missing(tmp_path: Path) -> None:
    assert read_voc(written(tmp_path, "<annotation/>")) == (0, 0, [])


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>"""
FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BOMB, "a.xml: declares a document type"),
        (BOMB.encode("utf-16"), "a.xml: declares a document type"),
        (FILE, "a.xml: declares a document type"),
        ("", "a.xml: is no xml: no element found"),
        ("<annotation>", "a.xml: is no xml"),
        (b"\xff\xd8\xff\xe0", "a.xml: is no xml"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "a.xml: is no xml"),
        (XML.replace("dog", " "), "a.xml: object 1 has no name"),
        (XML.replace("<xmin>8</xmin>", ""), "object 2: 'bndbox/xmin' must be a number, not None"),
        (XML.replace(">498<", ">4x<"), "object 2: 'bndbox/ymax' must be a number, not '4x'"),
        (XML.replace(">1</diff", ">2</diff"), "object 2: difficult must be 0 or 1, not 2"),
        (XML.replace(">500<", ">nan<"), "'size/height' must be a number of pixels, not nan"),
        (XML.replace(">500<", ">-3<"), "'size/height' must be a number of pixels, not -3"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_voc(written(tmp_path, content))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.xml: cannot be read: No such file"):
        read_voc(tmp_path / "a.xml")
