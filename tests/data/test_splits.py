import pytest
import torch

from cnnlab.data.splits import hold_out, stratified


def targets_of(*sizes: int) -> torch.Tensor:
    ids = torch.cat([torch.full((n,), c) for c, n in enumerate(sizes)])
    return ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("seed", [0, 1])
def test_hold_out_parts_the_set_in_proportion(seed: int) -> None:
    targets = targets_of(100, 50, 33, 17)
    kept, held = hold_out(targets, 20, seed)
    assert torch.cat([kept, held]).sort().values.tolist() == list(range(200))
    assert kept.tolist() == sorted(kept.tolist())
    # 10, 5, 3.3 and 1.7: the place that is left goes to the largest remainder
    assert targets[held].bincount().tolist() == [10, 5, 3, 2]


def test_hold_out_depends_on_the_seed_alone() -> None:
    targets = targets_of(100, 100)
    assert torch.equal(hold_out(targets, 20, 1)[1], hold_out(targets, 20, 1)[1])
    assert not torch.equal(hold_out(targets, 20, 1)[1], hold_out(targets, 20, 2)[1])


def test_hold_out_leaves_one_of_each_class_to_train_on() -> None:
    targets = targets_of(3, 1, 2)
    kept, _ = hold_out(targets, 5, 0)
    assert set(targets[kept].tolist()) == {0, 1, 2}


def test_a_fraction_keeps_proportions_and_every_class() -> None:
    targets = targets_of(1000, 100, 3)
    kept = stratified(targets, 0.1, 0)
    assert targets[kept].bincount().tolist() == [100, 10, 1]
    assert stratified(targets, 1.0, 0).tolist() == list(range(1103))


def test_several_labels_are_stratified_by_the_rarest() -> None:
    common, rare, none = [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]
    targets = torch.tensor([common] * 80 + [rare] * 10 + [none] * 10)
    _, held = hold_out(targets, 10, 0)
    assert targets[held].sum(0).tolist() == [9, 1]
    assert (targets[held].sum(1) == 0).sum() == 1
