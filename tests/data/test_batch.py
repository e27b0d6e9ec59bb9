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


def test_each_channel_has_its_padding_and_masks_are_ignored() -> None:
    samples = [
        Sample(
            torch.full((3, h, w), 7, dtype=torch.uint8),
            torch.full((h, w), 2, dtype=torch.uint8),
            whole_frame(h, w),
        )
        for h, w in ((2, 4), (5, 3))
    ]
    batch = collate(samples, [0, 1], [51, 76, 102])
    for channel, level in enumerate((51, 76, 102)):
        assert batch.images[0, channel].tolist() == [[7] * 4] * 2 + [[level] * 4] * 3
        assert batch.images[1, channel].tolist() == [[7] * 3 + [level]] * 5
    assert batch.images.dtype == batch.targets.dtype == torch.uint8
    assert batch.targets[0].tolist() == [[2] * 4] * 2 + [[255] * 4] * 3
    assert batch.targets[1].tolist() == [[2] * 3 + [255]] * 5
