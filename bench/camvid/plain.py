"""What cnnlab's figures on CamVid are held against: a plain script.

smp's U-Net over the same encoder, crops of 288 x 352, flips, cross-entropy, AdamW, one cycle, bf16.

    python bench/camvid/plain.py CAMVID tf_efficientnet_lite0.safetensors [EPOCHS]
"""

import sys
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

CLASSES, IGNORED = 11, 11


class Frames(Dataset):
    """Images normalised and masks; cropped and flipped in training."""

    def __init__(self, root: Path, split: str) -> None:
        lines = (root / f"{split}.txt").read_text().splitlines()
        self.pairs = [[root / name for name in line.split()] for line in lines]
        self.train = split == "train"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = (np.array(Image.open(path)) for path in self.pairs[index])
        x = (torch.from_numpy(image).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
        y = torch.from_numpy(mask).long()
        if not self.train:  # the encoder wants multiples of 32
            return F.pad(x, (0, 0, 0, 24)), F.pad(y, (0, 0, 0, 24), value=IGNORED)
        top, left = (int(torch.randint(n + 1, ())) for n in (360 - 288, 480 - 352))
        x, y = x[:, top : top + 288, left : left + 352], y[top : top + 288, left : left + 352]
        return (x.flip(-1), y.flip(-1)) if torch.rand(()) < 0.5 else (x, y)


def main(root: str, weights: str, epochs: int = 18) -> None:
    torch.manual_seed(0)
    net = smp.Unet("tu-tf_efficientnet_lite0", encoder_weights=None, classes=CLASSES)
    missing = net.encoder.model.load_state_dict(load_file(weights), strict=False).missing_keys
    assert not missing, missing
    net = net.to(memory_format=torch.channels_last)
    train = DataLoader(Frames(Path(root), "train"), 8, True, num_workers=2, drop_last=True)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-3, epochs=epochs, steps_per_epoch=len(train)
    )
    start = time.monotonic()
    for epoch in range(epochs):
        net.train()
        for x, y in train:
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(x.to(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), y, ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}  loss {loss.item():.3f}  {time.monotonic() - start:.0f} s")
    net.eval()
    confusion = torch.zeros(CLASSES * CLASSES, dtype=torch.long)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for x, y in DataLoader(Frames(Path(root), "test"), 8, num_workers=2):
            counted = y != IGNORED
            cells = y[counted] * CLASSES + net(x).argmax(1)[counted]
            confusion += cells.bincount(minlength=CLASSES * CLASSES)
    matrix = confusion.view(CLASSES, CLASSES).double()
    hits, union = matrix.diag(), matrix.sum(0) + matrix.sum(1) - matrix.diag()
    minutes = (time.monotonic() - start) / 60
    print(f"test mIoU {(hits / union).mean():.4f}  micro {hits.sum() / union.sum():.4f}")
    print(f"{minutes:.1f} min, test included")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
