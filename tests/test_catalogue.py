from pathlib import Path

from cnnlab.catalogue import Entry, entries, table
from cnnlab.reference import rows

FOUND = {entry.name: entry for entry in entries("*")}


def test_all_are_listed_with_their_cost():
    assert len(FOUND) >= 250
    # What no deck shows is a sibling of what they show; a family without any is a slip.
    assert sum(not entry.decks for entry in FOUND.values()) < 20
    assert not [name for name, e in FOUND.items() if e.params_m is None and name != "timm"]
    assert not [name for name, e in FOUND.items() if "(" not in e.about and name != "timm"]


def test_an_entry_is_what_its_file_says():
    assert FOUND["lenet5_modern"].params_m == 0.061706
    assert FOUND["resnext50_32x4d"].gmacs == 4.230
    row = next(row for row in rows() if row.name == "resnext50_32x4d")
    assert set(row.decks.split(";")) <= set(FOUND["resnext50_32x4d"].decks.split())
    assert FOUND["resnext50_32x4d"].knobs == (
        "layers",
        "groups",
        "width_per_group",
        "drop_path",
        "dropout",
    )
    assert FOUND["resnet20_cifar"].input_size == "3x32x32"


def test_a_labs_folder_joins(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ours.yaml").write_text(
        "# Our net (us, 2026).\n# 1.50 M parameters, 20.0 M MACs at 3x32x32.\n"
        "defaults: [resnet20_cifar, _self_]\nname: resnet20_cifar\nbeta: 3\n"
    )
    (ours,) = entries("ours", [tmp_path])
    knobs = ("width", "shortcut", "drop_path", "se", "se_reduction", "beta")
    decks = FOUND["resnet20_cifar"].decks
    assert ours == Entry("ours", "Our net (us, 2026).", decks, 1.5, 0.02, "3x32x32", knobs)


def test_decks_are_those_of_the_rows_of_the_comment_and_of_the_base(tmp_path: Path):
    (tmp_path / "model").mkdir()
    for name, text in {
        "one": "# One (us, 2026; deck 2).\nname: x\n",
        "some": "# Some (us; decks 0 and 4).\ndefaults: [one, _self_]\n",
        "span": "# A span (us; decks 1-3).\nname: x\n",
        "none": "# None (us).\nname: x\n",
    }.items():
        (tmp_path / "model" / f"{name}.yaml").write_text(text)
    decks = {entry.name: entry.decks for entry in entries("*", [tmp_path])}
    assert decks == {"one": "002", "some": "000 002 004", "span": "001 002 003", "none": ""}


def test_the_table_has_a_line_a_net():
    lines = list(table([FOUND["lenet5"], FOUND["resnet50"]]))
    assert len(lines) == 3
    about = FOUND["lenet5"]
    assert lines[1].split()[:4] == [
        "lenet5",
        f"{about.params_m:.4g}",
        f"{about.gmacs:.4g}",
        "1x32x32",
    ]
