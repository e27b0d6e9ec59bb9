from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cnnlab.data.batch import Sample, whole_frame
from cnnlab.data.decode import Picture
from cnnlab.data.image_files import ImageFiles, Listing
from cnnlab.data.loader import Loader
from cnnlab.data.names import Names
from cnnlab.data.sampling import EvalSampler, TrainSampler
from cnnlab.errors import UserError

PATHS = [f"{split}/{i}.png" for split in "ab" for i in range(5)]


def upper_left(picture: Picture, epoch: int, id: int) -> tuple[Tensor, Tensor]:
    """The first pixel; its green says the epoch."""
    pixels = torch.from_numpy(picture.pixels()).permute(2, 0, 1)[:, :1, :1].clone()
    pixels[1] = epoch
    return pixels, whole_frame(1, 1)


@pytest.fixture
def files(tree: Callable[..., Path]) -> Callable[..., ImageFiles]:
    def make(bad_files: str = "error") -> ImageFiles:
        source = ImageFiles(tree(*PATHS), Listing(Names.of(PATHS), torch.arange(10)), bad_files)
        source.transform = upper_left
        return source

    return make


def reds(batch_images: Tensor) -> list[int]:
    """Which files the images came from: red is 10 times the number."""
    return (batch_images[:, 0, 0, 0] // 10).tolist()


def test_a_sample_is_its_own_file_and_label(files: Callable[..., ImageFiles]) -> None:
    source = files()
    for id in (0, 3, 9):
        sample = source.load(id, epoch=7)
        assert isinstance(sample, Sample)
        assert sample.image.flatten().tolist() == [10 * id, 7, 30]
        assert sample.target.item() == id
    assert len(source) == 10


def test_subset_keeps_names_with_labels(files: Callable[..., ImageFiles]) -> None:
    part = files().subset(torch.tensor([7, 2]))
    part.transform = upper_left
    assert [part.path(i)[-7:] for i in range(2)] == ["b/2.png", "a/2.png"]
    assert part.load(0, 0).image[0].item() == 70
    assert part.targets.tolist() == [7, 2]


def test_digest_is_of_names_labels_and_order(files: Callable[..., ImageFiles]) -> None:
    source = files()
    listing = Listing(source.names, source.targets)
    same = ImageFiles(Path("/elsewhere"), listing, "skip")
    assert same.digest() == source.digest()
    backwards = listing.take(torch.arange(9, -1, -1))
    other_labels = listing._replace(targets=torch.arange(10) % 3)
    other_names = listing._replace(names=Names.of([*PATHS[:9], "b/5.png"]))
    for other in (backwards, other_labels, other_names):
        assert ImageFiles(source.root, other, "error").digest() != source.digest()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_file_stops_the_run_and_is_named(
    files: Callable[..., ImageFiles], workers: int
) -> None:
    source = files()
    path = Path(source.path(6))
    path.write_bytes(path.read_bytes()[:-30])
    loader = Loader(source, EvalSampler(10, 4), workers, pin_memory=False)
    with pytest.raises(UserError, match=r"image 6, .*b/1\.png, cannot be read: .*data\.bad_files"):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_files_are_left_out_and_counted(
    files: Callable[..., ImageFiles], workers: int
) -> None:
    """Never another sample's image or label."""
    source = files("skip")
    Path(source.path(6)).write_bytes(b"<html>gone</html>")
    Path(source.path(1)).unlink()
    Path(source.path(9)).write_bytes(b"")
    loader = Loader(source, EvalSampler(10, 4), workers, pin_memory=False)
    batches = list(loader)
    assert [len(batch.images) for batch in batches] == [3, 2, 2]
    for batch in batches:
        assert reds(batch.images) == batch.ids.tolist() == batch.targets.tolist()
    assert loader.skipped == {1, 6, 9}


def test_a_missing_file_is_named(files: Callable[..., ImageFiles]) -> None:
    source = files()
    Path(source.path(2)).unlink()
    with pytest.raises(UserError, match=r"image 2, .*a/2\.png, cannot be read: No such file"):
        source.load(2, 0)


def test_batches_are_the_same_with_any_number_of_workers(
    files: Callable[..., ImageFiles],
) -> None:
    seen = []
    for workers in (0, 2):
        sampler = TrainSampler(torch.arange(10), batch_size=3, seed=0, balanced=False)
        loader = Loader(files(), sampler, workers, pin_memory=False)
        sampler.set_epoch(4)
        seen.append([(batch.ids.tolist(), batch.images) for batch in loader])
    assert [ids for ids, _ in seen[0]] == [ids for ids, _ in seen[1]]
    for (ids, here), (_, there) in zip(*seen, strict=True):
        assert torch.equal(here, there)
        assert reds(here) == ids
        assert set(here[:, 1, 0, 0].tolist()) == {4}
