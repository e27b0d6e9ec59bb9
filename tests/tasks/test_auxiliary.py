from types import SimpleNamespace

import torch
from torch.nn.functional import cross_entropy

from cnnlab.tasks.auxiliary import classifier_losses

NET = SimpleNamespace(backbone=SimpleNamespace(aux_weight=0.3))


def test_heads_add_their_weighted_losses():
    logits, one, two = torch.randn(3, 4, 5)
    targets = torch.tensor([0, 1, 2, 3])
    losses = classifier_losses(cross_entropy, NET, (logits, [one, two]), targets)
    expected = cross_entropy(logits, targets) + 0.3 * (
        cross_entropy(one, targets) + cross_entropy(two, targets)
    )
    torch.testing.assert_close(losses["loss"] + losses["auxiliary"], expected)


def test_without_heads_there_is_one_loss():
    losses = classifier_losses(cross_entropy, None, torch.randn(4, 5), torch.tensor([0, 1, 2, 3]))
    assert list(losses) == ["loss"]
