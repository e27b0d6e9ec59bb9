"""Full-size JPEGs on one core: our training transform beside decoding alone and beside timm's."""

import io
import math
import os
import statistics
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import simplejpeg
import timm.data
import torch
from PIL import Image

from cnnlab.data.augment import Augment
from cnnlab.data.decode import Picture
from cnnlab.data.sample_transforms import TrainTransform

ROOT = Path(__file__).parents[1]
SIZE, ROUNDS = 224, 15
AUGMENT = Augment(
    padding=0,
    scale=[0.08, 1.0],
    ratio=[0.75, 1.3333],
    scale_jitter=(1.0, 1.0),
    class_crops=0.0,
    mosaic=0.0,
    flip=True,
    color_jitter=0.0,
    policy=None,
    magnitude=0,
    mixup=0.0,
    cutmix=0.0,
    erasing=0.0,
)


def photographs() -> tuple[list[bytes], str]:
    """Real ones where the packed test data lie, else made up; and which."""
    packed = Path(os.environ.get("CNNLAB_TEST_DATA", ROOT.parent / "shared" / "data"))
    file = packed / "imagenet_samples.tar"
    if not file.is_file():
        return [gratings(seed) for seed in range(24)], "made-up pictures"
    with tarfile.open(file) as tar:
        jpegs = [m for m in tar.getmembers() if m.name.endswith(".JPEG")]
        return [tar.extractfile(member).read() for member in jpegs], "photographs of ImageNet"


def gratings(seed: int, num_bytes: int = 108_000) -> bytes:
    """A JPEG of 500x375 pixels and about `num_bytes`: waves of every direction and length."""
    draw = Random(seed)
    y, x = np.mgrid[:375, :500].astype(np.float32)
    colors = np.zeros((375, 500, 3), np.float32)
    for _ in range(40):
        angle, wave = draw.uniform(0, math.pi), 2 ** draw.uniform(1.2, 8)
        phase = (x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / wave)
        tint = np.array([draw.uniform(0.5, 1) for _ in range(3)], np.float32)
        colors += np.sin(phase + draw.uniform(0, 6))[:, :, None] * tint * wave**0.4
    colors = 128 + colors * (50 / colors.std())
    image = Image.fromarray(colors.clip(0, 255).astype(np.uint8))
    made = b""
    for quality in range(70, 100, 2):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        made = stream.getvalue()
        if len(made) >= num_bytes:
            break
    return made


Way = Callable[[bytes, int, int], object]  # of a file's content, the round and its number


def ways() -> dict[str, Way]:
    """What is timed; crops are drawn anew in each round."""
    ours = TrainTransform(SIZE, "bilinear", AUGMENT, seed=0)
    timms = timm.data.create_transform(
        SIZE, is_training=True, interpolation="bilinear", color_jitter=None, use_prefetcher=True
    )
    return {
        "decoding": lambda content, *_: simplejpeg.decode_jpeg(content),
        "timm": lambda content, *_: timms(Image.open(io.BytesIO(content)).convert("RGB")),
        "ours": lambda content, turn, i: ours(Picture(content), turn, i),
    }


def measure() -> list[dict]:
    """Two rows; each way's median round, turn by turn, after one to warm up."""
    data, which = photographs()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timed = ways()
        taken: dict[str, list[float]] = {name: [] for name in timed}
        for turn in range(ROUNDS + 1):
            for name, way in timed.items():
                taken[name].append(_seconds(way, data, turn))
    finally:
        torch.set_num_threads(threads)
    rates = {name: len(data) / statistics.median(turns[1:]) for name, turns in taken.items()}
    size = sum(map(len, data)) / len(data) / 1000
    return [
        {
            "name": f"JPEG: random-resized crop {SIZE}, flip / {words}",
            "ours": rates["ours"],
            "reference": rates[reference],
            "unit": "images/s of processor time",
            "ratio": rates["ours"] / rates[reference],
            "target": target,
            "note": f"{len(data)} {which} of {size:.0f} kB, one thread, median of {ROUNDS}",
        }
        for reference, words, target in (
            ("decoding", "decoding alone", 0.8),
            ("timm", "timm", 1.6),
        )
    ]


def _seconds(way: Way, data: list[bytes], turn: int) -> float:
    start = time.process_time()  # one thread: what other programs do does not count
    for i, content in enumerate(data):
        way(content, turn, i)
    return time.process_time() - start


if __name__ == "__main__":
    print(measure())
