import numpy as np
import pytest

from cnnlab.data.bad_boxes import FAULTS, judge

NAN, INF = float("nan"), float("inf")
CASES = [
    # box in an image of 100 x 50, fault, what `clip` leaves of it
    ([10, 10, 30, 40], "", [10, 10, 30, 40]),
    ([0, 0, 100, 50], "", [0, 0, 100, 50]),
    ([-0.004, 0, 100.004, 50], "", [0, 0, 100, 50]),  # rounding
    ([-5, 10, 30, 40], "reaches beyond the image", [0, 10, 30, 40]),
    ([10, 10, 130, 70], "reaches beyond the image", [10, 10, 100, 50]),
    ([-50, -50, 500, 500], "reaches beyond the image", [0, 0, 100, 50]),
    ([100, 10, 120, 40], "lies outside the image", None),
    ([10, -30, 20, 0], "lies outside the image", None),
    ([5, 5, 5, 9], "has no area", None),
    ([5, 5, 5, 5], "has no area", None),
    ([60, 5, 60 + 1e-9, 9], "has no area", None),  # in float32
    ([9, 9, 5, 5], "is inverted", None),
    ([9, 5, 5, 9], "is inverted", None),
    ([NAN, 5, 8, 9], "is not finite", None),
    ([5, 5, INF, 9], "is not finite", None),
    ([-INF, 5, INF, 9], "is not finite", None),
]


@pytest.mark.parametrize(("box", "fault", "left"), CASES)
def test_a_box_alone(box: list[float], fault: str, left: list[float] | None) -> None:
    limits = np.array([[100.0, 50.0]])
    found = {policy: judge(np.array([box], float), limits, policy) for policy in ("clip", "drop")}
    assert {FAULTS[verdict.fault[0]] for verdict in found.values()} == {fault}
    clip, drop = found["clip"], found["drop"]
    assert bool(drop.keep[0]) == (fault == "")
    assert bool(clip.keep[0]) == (left is not None)
    assert bool(clip.clipped[0]) == (fault != "" and left is not None)
    assert not drop.clipped[0]
    if left is not None:
        assert clip.xyxy[0].tolist() == left


def test_all_together_as_one_by_one() -> None:
    """Each box in an image of its own size."""
    scales = np.arange(1, len(CASES) + 1)[:, None]
    boxes = np.array([box for box, _, _ in CASES], float) * scales
    verdict = judge(boxes, np.array([[100.0, 50.0]]) * scales, "clip")
    assert [FAULTS[fault] for fault in verdict.fault] == [fault for _, fault, _ in CASES]
    for box, scale, (_, _, left) in zip(verdict.xyxy, scales, CASES, strict=True):
        if left is not None:
            np.testing.assert_allclose(box, np.array(left) * scale, rtol=1e-6)


def test_none_is_no_trouble() -> None:
    verdict = judge(np.zeros((0, 4)), np.zeros((0, 2)), "clip")
    assert [len(part) for part in verdict] == [0] * 4
