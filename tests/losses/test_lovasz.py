import pytest
import segmentation_models_pytorch as smp
import torch

from cnnlab.losses.lovasz import Lovasz
from cnnlab.pixels import IGNORE


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
def test_equals_smps_loop_over_classes(per_image, ignored):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 5, 7, 6, generator=generator)
    targets = torch.randint(4, (3, 7, 6), generator=generator)  # class 4 is absent
    if ignored:
        targets[:, 2:4] = IGNORE
    theirs = smp.losses.LovaszLoss("multiclass", per_image=per_image, ignore_index=IGNORE)
    ours = Lovasz(absent="skip", per_image=per_image)
    torch.testing.assert_close(ours(logits, targets), theirs(logits, targets))


def test_of_hard_predictions_is_1_minus_iou():
    targets = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    found = torch.tensor([0, 1, 1, 1, 0, 2])
    logits = 60.0 * torch.nn.functional.one_hot(found, 3).T.view(1, 3, 1, 6).float()
    loss = Lovasz(absent="skip", per_image=False)(logits, targets)
    assert loss.item() == pytest.approx(1 - (1 / 3 + 2 / 3 + 1 / 2) / 3, abs=1e-5)
