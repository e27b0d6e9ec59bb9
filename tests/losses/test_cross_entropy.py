import pytest
import torch
from timm.loss import SoftTargetCrossEntropy
from torch import nn
from torch.nn import functional as F

from cnnlab.losses.cross_entropy import CrossEntropy

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 3
IDS = torch.tensor([0, 3, 1, 1, 2, 0])
SHARES = 0.7 * F.one_hot(IDS, 4) + 0.3 * F.one_hot(IDS.flip(0), 4)  # mixup
WEIGHTS = [1.0, 0.5, 4.0, 0.0]


@pytest.mark.parametrize("targets", [IDS, SHARES])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_equals_torch(targets, smoothing, weights):
    ours = CrossEntropy([1, 1, 1, 1], label_smoothing=smoothing, class_weights=weights)
    weight = None if weights is None else torch.tensor(weights)
    torchs = nn.CrossEntropyLoss(weight, label_smoothing=smoothing)
    assert ours(LOGITS, targets) == torchs(LOGITS, targets)


def test_smoothing_after_mixup_is_timms():
    """timm smooths the one-hot targets before it mixes them."""
    smooth = [t * 0.9 + 0.1 / 4 for t in (F.one_hot(IDS, 4), F.one_hot(IDS.flip(0), 4))]
    expected = SoftTargetCrossEntropy()(LOGITS, 0.7 * smooth[0] + 0.3 * smooth[1])
    ours = CrossEntropy(label_smoothing=0.1, class_weights=None)(LOGITS, SHARES)
    torch.testing.assert_close(ours, expected)


def test_ids_and_one_hot_shares_agree():
    loss = CrossEntropy(label_smoothing=0.1, class_weights=None)
    torch.testing.assert_close(loss(LOGITS, IDS), loss(LOGITS, F.one_hot(IDS, 4).float()))


def test_weights_follow_the_module_but_not_the_checkpoint():
    loss = CrossEntropy([9, 1], label_smoothing=0.0, class_weights="balanced").to("meta")
    assert loss.weight.device.type == "meta"
    assert loss.state_dict() == {}


def test_bf16_logits_lose_in_float32():
    loss = CrossEntropy(label_smoothing=0.0, class_weights=None)(LOGITS.bfloat16(), IDS)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS.bfloat16().float(), IDS))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 1.0]])
def test_of_masks_equals_torchs_where_pixels_count(smoothing, weights):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 5, generator=generator)
    targets = torch.randint(3, (2, 5, 5), generator=generator)
    targets[0, :2] = 255
    weight = None if weights is None else torch.tensor(weights)
    theirs = F.cross_entropy(logits, targets, weight, ignore_index=255, label_smoothing=smoothing)
    ours = CrossEntropy([1] * 3, label_smoothing=smoothing, class_weights=weights)
    torch.testing.assert_close(ours(logits, targets), theirs)
