"""What cnnlab's figures on BCCD are held against: a plain script.

torchvision's RetinaNet with a 96-channel pyramid over the same backbone, images of 416 x 320,
flips, AdamW, one cycle, bf16.

    python bench/bccd/plain.py BCCD tf_efficientnet_lite0.safetensors [EPOCHS]
"""

import sys
import time
from pathlib import Path

import timm
import torch
from faster_coco_eval import COCO, COCOeval_faster
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import RetinaNet
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7
from torchvision.transforms.v2 import functional as tv

WIDTH, HEIGHT = 416, 320


class Cells(Dataset):
    """Images of 320 x 416 in 0..1 and their boxes (xyxy); flipped in training."""

    def __init__(self, root: Path, split: str) -> None:
        self.images, self.train = root / "JPEGImages", split == "train"
        self.truth = COCO(str(root / "annotations" / f"instances_{split}.json"))
        self.ids = sorted(self.truth.imgs)
        self.labels = sorted(self.truth.cats)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        info = self.truth.imgs[self.ids[index]]
        image = Image.open(self.images / info["file_name"]).convert("RGB").resize((WIDTH, HEIGHT))
        found = self.truth.loadAnns(self.truth.getAnnIds([self.ids[index]]))
        boxes = torch.tensor([a["bbox"] for a in found]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes *= torch.tensor([WIDTH / info["width"], HEIGHT / info["height"]] * 2)
        x = tv.to_dtype(tv.pil_to_tensor(image), torch.float32, scale=True)
        if self.train and torch.rand(()) < 0.5:
            x, boxes = (
                x.flip(-1),
                torch.stack(
                    (WIDTH - boxes[:, 2], boxes[:, 1], WIDTH - boxes[:, 0], boxes[:, 3]), 1
                ),
            )
        labels = torch.tensor([self.labels.index(a["category_id"]) for a in found])
        return x, {"boxes": boxes, "labels": labels}


class Backbone(nn.Module):
    """Maps of strides 8, 16, 32 under a pyramid of five levels."""

    out_channels = 96

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.body = timm.create_model(
            "tf_efficientnet_lite0",
            features_only=True,
            out_indices=(2, 3, 4),
            pretrained=True,
            pretrained_cfg_overlay={"file": weights},
        )
        self.fpn = FeaturePyramidNetwork(
            self.body.feature_info.channels(), 96, extra_blocks=LastLevelP6P7(96, 96)
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn(dict(zip("012", self.body(x), strict=True)))


def together(samples: list) -> tuple[list, list]:
    images, targets = zip(*samples, strict=True)
    return list(images), list(targets)


def main(root: str, weights: str, epochs: int = 25) -> None:
    torch.manual_seed(0)
    half = [0.5] * 3
    net = RetinaNet(
        Backbone(weights), 3, min_size=HEIGHT, max_size=WIDTH, image_mean=half, image_std=half
    )
    net = net.to(memory_format=torch.channels_last)
    data = Cells(Path(root), "train")
    train = DataLoader(data, 8, True, num_workers=2, drop_last=True, collate_fn=together)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-3, epochs=epochs, steps_per_epoch=len(train)
    )
    start = time.monotonic()
    for epoch in range(epochs):
        net.train()
        for images, targets in train:
            with torch.autocast("cpu", torch.bfloat16):
                loss = sum(net(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(
            f"epoch {epoch + 1}  loss {loss.item():.3f}  {time.monotonic() - start:.0f} s",
            flush=True,
        )
    net.eval()
    test = Cells(Path(root), "test")
    found = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for id, (image, _) in zip(test.ids, (test[i] for i in range(len(test))), strict=True):
            info, one = test.truth.imgs[id], net([image])[0]
            boxes = one["boxes"].float() * torch.tensor(
                [info["width"] / WIDTH, info["height"] / HEIGHT] * 2
            )
            boxes[:, 2:] -= boxes[:, :2]
            for box, label, score in zip(
                boxes.tolist(), one["labels"].tolist(), one["scores"].tolist(), strict=True
            ):
                found.append(
                    {"image_id": id, "category_id": test.labels[label], "bbox": box, "score": score}
                )
    minutes = (time.monotonic() - start) / 60
    judge = COCOeval_faster(test.truth, test.truth.loadRes(found), "bbox")
    judge.run()
    precision = judge.eval["precision"][:, :, :, 0, -1]
    for k, label in enumerate(test.labels):
        own = precision[:, :, k]
        name = test.truth.cats[label]["name"]
        print(f"{name:9} mAP {own.mean():.4f}  mAP50 {own[0].mean():.4f}")
    print(f"test mAP {precision.mean():.4f}  mAP50 {precision[0].mean():.4f}")
    print(f"{minutes:.1f} min, test included")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
