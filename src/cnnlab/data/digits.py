"""scikit-learn's handwritten digits: real images that are part of the installation."""

import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from cnnlab.data.in_memory import InMemory, MemorySource
from cnnlab.data.module import Outline, Splits
from cnnlab.data.splits import hold_out

TEST_FRACTION = 0.2


class Digits(InMemory):
    """1,797 digits of 8x8 pixels in 17 levels: UCI optdigits, test part (Alpaydin, Kaynak 1998).

    Values x 255/16, bilinearly enlarged to 32x32 (not nearest: its blocks of 4 pixels would make a
    crop by a few pixels nearly no change), one channel. 20 % is the test split, `val_fraction` of
    all is val, both stratified and both by `split_seed`.
    """

    published = Outline(10, 1, (32, 32))

    def read(self) -> Splits:
        levels, labels = load_digits(return_X_y=True)
        small = torch.from_numpy(levels).view(-1, 1, 8, 8).float() * (255 / 16)
        large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
        everything = MemorySource(large.round().to(torch.uint8), torch.from_numpy(labels).long())
        total, seed = len(everything), self.split_seed
        rest, test = hold_out(everything.targets, round(TEST_FRACTION * total), seed)
        count = round(self.val_fraction * total)
        train, val = hold_out(everything.targets[rest], count, seed)
        return self.three(
            everything.subset(rest[train]),
            everything.subset(rest[val]),
            everything.subset(test),
            [str(digit) for digit in range(10)],
        )
