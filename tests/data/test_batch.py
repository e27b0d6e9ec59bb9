import torch

from cnnlab.data.batch import Sample, collate, whole_frame


def test_collate_pads_right_and_below() -> None:
    small = torch.full((3, 2, 4), 7, dtype=torch.uint8)
    large = torch.full((3, 5, 3), 9, dtype=torch.uint8)
    samples = [
        Sample(small, torch.tensor(1), whole_frame(2, 4)),
        Sample(large, torch.tensor(0), torch.tensor([5.0, 3.0, 2.0, 0.5])),
    ]
    batch = collate(samples, [11, 4])
    assert batch.images.shape == (2, 3, 5, 4)
    assert batch.images.dtype == torch.uint8
    assert torch.equal(batch.images[0, :, :2, :4], small)
    assert torch.equal(batch.images[1, :, :5, :3], large)
    assert int(batch.images.sum()) == int(small.sum()) + int(large.sum())
    assert batch.targets.tolist() == [1, 0]
    assert batch.ids.tolist() == [11, 4]
    assert batch.ids.dtype == torch.int64
    assert batch.frames.tolist() == [[2, 4, 1, 1], [5, 3, 2, 0.5]]
