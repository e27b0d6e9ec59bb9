import csv

import pytest

from cnnlab.reference.results import Result, results


def find(table: str, model: str, setting: str, metric: str) -> list[Result]:
    return [
        r
        for r in results()
        if (r.table, r.model, r.setting, r.metric) == (table, model, setting, metric)
    ]


def test_resnext_table_3_as_the_paper_prints_it():
    # Xie et al. 2017, Table 3: ResNet-50 and ResNeXt-50 (32 x 4d).
    one = find("T01_resnext_groups", "ResNet-50", "groups=1 group_width=64", "top1_error")
    many = find("T01_resnext_groups", "ResNeXt-50", "groups=32 group_width=4", "top1_error")
    assert [row.number for row in one + many] == [23.9, 22.2]
    assert {(row.unit, row.dataset, row.deck) for row in one + many} == {
        ("%", "ImageNet-1k val", "000")
    }
    assert one[0].deck_line == 678


def test_commas_in_quotes_are_text():
    (row,) = find("T10_shuffle_vs_mobilenet", "ShuffleNet 2x (with SE, g=3)", "", "top1_error")
    assert row.number == 24.7


def test_words_are_no_numbers():
    assert {row.number for row in results() if row.metric == "claim"} == {None}
    assert [row.number for row in find("T15_facts", "AlexNet", "", "params")] == [60.0]


def test_the_differences_that_a_table_prints_are_those_of_its_rows():
    printed = [row for row in results() if row.table == "T09_shuffle_ablation"]
    models = {row.model for row in printed}
    assert len(models) == 6
    for model in models:
        (without,) = find("T09_shuffle_ablation", model, "no shuffle", "top1_error")
        (with_,) = find("T09_shuffle_ablation", model, "shuffle", "top1_error")
        (delta,) = find("T09_shuffle_ablation", model, "delta", "delta_top1_error")
        assert without.number - with_.number == pytest.approx(delta.number)


def test_all_tables_are_there_and_no_row_stands_there_twice():
    tables = list(dict.fromkeys(row.table.partition("_")[0] for row in results()))
    assert tables == [f"T{i:02d}" for i in range(1, 19)]
    keys = [(row.table, row.model, row.setting, row.dataset, row.metric) for row in results()]
    assert len(set(keys)) == len(keys) == 320


def test_fields_are_those_of_the_file():
    row = results()[0]
    line = next(
        csv.reader(
            [
                "T01_resnext_groups,000,678,ResNet-50,groups=1 group_width=64,ImageNet-1k val,"
                "top1_error,23.9,%,paper Table 3 (single crop 224)"
            ]
        )
    )
    assert [
        row.table, row.deck, str(row.deck_line), row.model, row.setting, row.dataset, row.metric,
        row.value, row.unit, row.note,
    ] == line  # fmt: skip
