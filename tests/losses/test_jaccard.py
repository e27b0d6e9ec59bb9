import pytest
import segmentation_models_pytorch as smp
import torch

from cnnlab.losses.jaccard import Jaccard
from cnnlab.pixels import IGNORE


def test_of_hard_predictions_is_1_minus_iou():
    targets = torch.tensor([[[0, 0, 1, 1, 2, IGNORE]]])
    found = torch.tensor([0, 1, 1, 1, 0, 2])
    logits = 60.0 * torch.nn.functional.one_hot(found, 4).T.view(1, 4, 1, 6).float()
    iou = (1 / 3 + 2 / 3 + 0) / 3  # class 3 is absent, and the last pixel ignored
    loss = Jaccard(eps=1e-6, absent="skip", per_image=False)(logits, targets)
    assert loss.item() == pytest.approx(1 - iou, abs=1e-5)


def test_equals_smp_where_every_class_is_there():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 8, 8, generator=generator)
    targets = torch.randint(4, (2, 8, 8), generator=generator)
    theirs = smp.losses.JaccardLoss("multiclass", eps=1e-7)(logits, targets)
    ours = Jaccard(eps=1e-7, absent="skip", per_image=False)(logits, targets)
    torch.testing.assert_close(ours, theirs)
