import pytest
import torch
from torchvision.transforms import v2

from cnnlab.data.policy import Policy, policy
from cnnlab.seeding import torch_seeded


@pytest.mark.parametrize("name", ["randaugment", "trivialaugment", "autoaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_changed_as_its_seed_says(name: Policy, channels: int) -> None:
    image = torch.randint(256, (channels, 16, 16), dtype=torch.uint8)
    transform = policy(name, magnitude=9, small=True)
    results = []
    for part in (0, 0, 1, 2, 3):
        with torch_seeded(part):
            results.append(transform(image))
    assert all(r.shape == image.shape and r.dtype == torch.uint8 for r in results)
    assert torch.equal(results[0], results[1])
    assert any(not torch.equal(results[0], other) for other in results[2:])


def test_magnitude_is_randaugments() -> None:
    assert policy("randaugment", magnitude=17, small=False).magnitude == 17


@pytest.mark.parametrize(("small", "found_on"), [(True, "CIFAR10"), (False, "IMAGENET")])
def test_autoaugment_is_that_of_the_image_size(small: bool, found_on: str) -> None:
    assert policy("autoaugment", 9, small).policy is v2.AutoAugmentPolicy[found_on]
