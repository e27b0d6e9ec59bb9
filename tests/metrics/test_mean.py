import torch

from cnnlab.metrics.mean import WeightedMean


def test_is_the_weighted_mean():
    values, weights = torch.tensor([1.0, 4.0, 2.5]), torch.tensor([3.0, 1.0, 0.5])
    mean = WeightedMean()
    for value, weight in zip(values, weights, strict=True):
        mean.update(value, weight)
    torch.testing.assert_close(mean.compute(), (values * weights).sum() / weights.sum())


def test_nan_stays_nan_and_whole_numbers_weigh_too():
    mean = WeightedMean()
    mean.update(torch.tensor(2.0), 7)
    assert mean.compute() == 2.0
    mean.update(torch.tensor(float("nan")), 1)
    assert mean.compute().isnan()
