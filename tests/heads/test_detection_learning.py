"""The proof that matching, losses, anchors and offsets fit together: a few scenes are learnt."""

import pytest
import torch

from cnnlab.config import compose
from cnnlab.tasks.build import build_parts
from cnnlab.tasks.detection import DetectionTask


@pytest.fixture
def parts():
    words = ["model=resnet20_cifar", "data=digit_scenes", "task=detection", "seed=0"]
    small = ["data.scenes=8", "data.image_size=64", "recipe.head_width=32"]
    small += ["head.levels=3", "head.depth=1", "head.anchors.side=2"]  # digits have 8 to 24 px
    torch.manual_seed(0)
    return build_parts(compose([*words, *small]).cfg)


def test_eight_scenes_are_learnt(parts):
    data, task = parts
    assert isinstance(task, DetectionTask)
    batch = data.prepare(data.splits.train.fetch(torch.arange(8)), True, 0)
    optimizer = torch.optim.AdamW(task.net.parameters(), 3e-3)
    task.train()
    values = []
    for _ in range(20):
        losses = task.losses(task.net(batch.images), batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        values.append({k: v.item() for k, v in losses.items()})
    first, final = values[0], values[-1]
    assert final["class"] < 0.4 * first["class"], values
    assert final["box"] < 0.5 * first["box"], values
