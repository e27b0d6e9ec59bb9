import pytest
import torch
from torch import Tensor

from cnnlab.data.batch import Batch, Boxes, Sample, whole_frame
from cnnlab.data.in_memory import MemorySource
from cnnlab.data.loader import Loader
from cnnlab.data.sampling import EvalSampler, TrainSampler
from cnnlab.data.source import SampleSource
from cnnlab.errors import UserError
from cnnlab.seeding import torch_seeded


class Noise(SampleSource):
    """Each sample is its id and seeded noise; some are missing, some damaged."""

    def __init__(self, size: int, missing: tuple[int, ...] = (), damaged: int = -1) -> None:
        self.targets = torch.arange(size)
        self.missing, self.damaged = missing, damaged

    def subset(self, ids: Tensor) -> "Noise":
        raise NotImplementedError

    def digest(self) -> str:
        raise NotImplementedError

    def load(self, id: int, epoch: int) -> Sample | None:
        if id == self.damaged:
            raise UserError(f"sample {id} is damaged")
        if id in self.missing:
            return None
        with torch_seeded(9, epoch, id):
            noise = torch.randint(256, (1, 4, 4), dtype=torch.uint8)
        return Sample(noise, self.targets[id], whole_frame(4, 4))


class Fixed(SampleSource):
    """These samples."""

    def __init__(self, samples: list[Sample]) -> None:
        self.targets = torch.zeros(len(samples), dtype=torch.int64)
        self.samples = samples

    def subset(self, ids: Tensor) -> "Fixed":
        raise NotImplementedError

    def digest(self) -> str:
        raise NotImplementedError

    def load(self, id: int, epoch: int) -> Sample:
        return self.samples[id]


def train_loader(source: SampleSource | MemorySource, workers: int, seed: int = 0) -> Loader:
    sampler = TrainSampler(source.targets, 4, seed, balanced=False)
    return Loader(source, sampler, workers, pin_memory=False)


def epochs(loader: Loader, numbers: list[int]) -> list[list[Batch]]:
    passes = []
    for epoch in numbers:
        loader.sampler.set_epoch(epoch)
        passes.append(list(loader))
    return passes


def same(one: list[list[Batch]], other: list[list[Batch]]) -> bool:
    pairs = [pair for pass_ in zip(one, other, strict=True) for pair in zip(*pass_, strict=True)]
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def test_workers_change_nothing() -> None:
    here = epochs(train_loader(Noise(18), 0), [0, 1, 2])
    there = epochs(train_loader(Noise(18), 2), [0, 1, 2])
    assert same(here, there)
    assert [len(batches) for batches in here] == [4, 4, 4]
    assert not same(here, epochs(train_loader(Noise(18), 0, seed=1), [0, 1, 2]))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_has_its_own_order_and_noise(workers: int) -> None:
    # Lightning issue 21938: with workers a resumed run saw epoch 0's order again.
    whole = epochs(train_loader(Noise(18), 0), [0, 1, 2, 3])
    resumed = epochs(train_loader(Noise(18), workers), [2, 3])
    assert same(whole[2:], resumed)
    assert not same(whole[:1], resumed[:1])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_in_its_middle(workers: int) -> None:
    loader = train_loader(Noise(18), workers)
    loader.sampler.set_epoch(1)
    assert same([list(loader)[2:]], [list(loader.batches_from(2))])


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_decided_before_the_first_next(workers: int) -> None:
    expected = epochs(train_loader(Noise(18), 0), [3])
    loader = train_loader(Noise(18), workers)
    iterator = iter(loader)  # as Lightning does while it sets a fit up
    iter(loader)
    loader.sampler.set_epoch(3)
    assert same(expected, [list(iterator)])


def test_an_epoch_left_early_does_not_leak_into_the_next() -> None:
    loader = train_loader(Noise(18), 2)
    next(iter(loader))
    assert same(epochs(train_loader(Noise(18), 0), [1]), epochs(loader, [1]))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_not_touched(workers: int) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    list(train_loader(Noise(18), workers))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_samples_are_left_out_and_counted(workers: int) -> None:
    loader = Loader(Noise(9, missing=(2, 7)), EvalSampler(9, 3), workers, pin_memory=False)
    batches = list(loader)
    assert [batch.ids.tolist() for batch in batches] == [[0, 1], [3, 4, 5], [6, 8]]
    assert all(torch.equal(batch.targets, batch.ids) for batch in batches)
    assert loader.skipped == {2, 7}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_without_any_readable_sample(workers: int) -> None:
    """Evaluation goes on without it, training does not."""
    evaluated = Loader(Noise(6, missing=(3, 4, 5)), EvalSampler(6, 3), workers, pin_memory=False)
    assert [batch.ids.tolist() for batch in evaluated] == [[0, 1, 2]]
    assert evaluated.skipped == {3, 4, 5}
    with pytest.raises(UserError, match=r"none of the 4 images of a batch"):
        list(train_loader(Noise(4, missing=(0, 1, 2, 3)), workers))


def test_an_evaluation_of_nothing_is_an_error() -> None:
    loader = Loader(Noise(4, missing=(0, 1, 2, 3)), EvalSampler(4, 2), 0, pin_memory=False)
    with pytest.raises(UserError, match="none of the 4 images can be read"):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_users_error_arrives_as_one_line(workers: int) -> None:
    loader = Loader(Noise(9, damaged=4), EvalSampler(9, 3), workers, pin_memory=False)
    with pytest.raises(UserError) as caught:
        list(loader)
    assert str(caught.value) == "sample 4 is damaged"


def test_memory_is_gathered_as_a_naive_loop_would() -> None:
    images = torch.randint(256, (18, 3, 5, 6), dtype=torch.uint8)
    source = MemorySource(images, torch.arange(18) % 7)
    for batch in train_loader(source, 0):
        for row, id in enumerate(batch.ids.tolist()):
            assert torch.equal(batch.images[row], images[id])
            assert int(batch.targets[row]) == id % 7
            assert batch.frames[row].tolist() == [5, 6, 1, 1]


def test_boxes_are_pinned_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Page-locking needs a GPU; that each tensor is asked for it does not."""
    pinned = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(tensor.shape)
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    boxes = Boxes.none()
    samples = [Sample(torch.zeros(3, 4, 4), boxes, whole_frame(4, 4))]
    source = Fixed(samples)
    batch = next(iter(Loader(source, EvalSampler(1, 1), 0, pin_memory=True)))
    assert isinstance(batch.targets, Boxes)
    assert len(pinned) == 3 + len(boxes)
