import math
import time
from pathlib import Path

import pytest

from cnnlab.tracking.metrics_file import MetricsFile, Row, read_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = MetricsFile(tmp_path / "metrics.csv")
    file.append(5, 0, 1.25, {"train/loss": 2.5, "odd, key": 0.1})
    file.append(10, 1, 2.5, {"val/loss": math.nan, "val/top1": 1 / 3})
    file.close()
    return file.path


def test_rows_come_back_as_they_were(path: Path):
    rows = list(read_rows(path))
    assert rows[:2] == [Row(5, 0, 1.25, "train/loss", 2.5), Row(5, 0, 1.25, "odd, key", 0.1)]
    assert math.isnan(rows[2].value)
    assert rows[3] == Row(10, 1, 2.5, "val/top1", 1 / 3)
    assert path.read_text().startswith("step,epoch,time_s,key,value\n5,0,1.250,train/loss,2.5\n")


@pytest.mark.parametrize("torn", ["1", "12,1", "12,1,3.0,train/loss", "12,1,3.0,train/loss,0.9"])
def test_a_torn_line_is_not_read_and_is_cut_off_on_opening(path: Path, torn: str):
    whole = path.read_text()
    path.write_text(whole + torn)
    assert len(list(read_rows(path))) == 4
    file = MetricsFile(path)
    assert path.read_text() == whole
    assert file.last_time_s == 2.5
    file.append(12, 1, 3.0, {"train/loss": 0.97})
    assert path.read_text() == whole + "12,1,3.000,train/loss,0.97\n"


def test_going_back_forgets_later_rows(path: Path):
    file = MetricsFile(path)
    file.drop_after(5)
    file.append(6, 0, 1.5, {"train/loss": 2.0})
    assert [row.step for row in read_rows(path)] == [5, 5, 6]
    assert file.last_time_s == 1.25


def test_fifty_values_cost_little(tmp_path: Path):
    file = MetricsFile(tmp_path / "metrics.csv")
    values = {f"val/metric_{i}": i / 7 for i in range(50)}
    times = []
    for step in range(200):
        start = time.perf_counter()
        file.append(step, 0, 1.0, values)
        times.append(time.perf_counter() - start)
    assert sorted(times)[100] < 2e-3  # 10 times what it takes on an idle machine
