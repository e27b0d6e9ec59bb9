import torch

from cnnlab.anchor_doctor.seen import look
from tests.anchor_doctor.sets import batch_of

A, B, C = [0.0, 0.0, 8.0, 4.0], [1.0, 1.0, 5.0, 9.0], [2.0, 2.0, 4.0, 4.0]


def test_boxes_of_several_batches_without_crowds():
    first = batch_of([[A, B], []], 10, (32, 32))
    crowd = torch.tensor([False, True])
    first = first._replace(targets=first.targets._replace(crowd=crowd))
    seen = look([first, batch_of([[C]], 7, (32, 64)), batch_of([[], [A]], 3, (32, 32))])
    assert seen.xyxy.tolist() == [A, C, A]
    assert seen.image.tolist() == [0, 2, 4]
    assert seen.id.tolist() == [10, 11, 7, 3, 4]
    assert seen.sides.tolist() == [[8.0, 4.0], [2.0, 2.0], [8.0, 4.0]]
    assert [(s, rows.tolist()) for s, rows in seen.groups()] == [
        ((32, 32), [0, 2]),
        ((32, 64), [1]),
    ]


def test_no_more_batches_are_asked_for_than_needed():
    asked = []

    def batches():
        for number in range(5):
            asked.append(number)
            yield batch_of([[A], [B]], 2 * number, (32, 32))

    assert len(look(batches(), most=3).id) == 4
    assert asked == [0, 1]
