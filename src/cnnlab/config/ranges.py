"""The numbers that a key may have, for the keys that have limits."""

import math
from collections.abc import Iterator
from typing import Any

from cnnlab.config import keys

_COUNT, _POSITIVE, _NOT_NEGATIVE = "[1, inf)", "(0, inf)", "[0, inf)"
_PROBABILITY, _SHARE, _BELOW_ONE = "[0, 1]", "(0, 1]", "[0, 1)"
_SEED = f"[0, {2**32 - 1}]"  # what numpy's generators take

RANGES = {
    "seed": _SEED,
    "model.seed": _SEED,
    "model.freeze": _NOT_NEGATIVE,
    "model.image_size": _COUNT,
    "model.groups": _COUNT,
    "model.se_reduction": _COUNT,
    "model.width_per_group": _COUNT,
    "model.layers": _COUNT,
    "model.depths": _COUNT,
    "model.dims": _COUNT,
    "model.kernel_sizes": _COUNT,
    "model.depth": _COUNT,
    "model.width": _POSITIVE,
    "model.widen": _COUNT,
    "model.widths": _COUNT,
    "model.group_width": _COUNT,
    "model.bottleneck_ratio": _POSITIVE,
    "model.se_ratio": _PROBABILITY,
    "model.growth_rate": _COUNT,
    "model.block_config": _COUNT,
    "model.filters": _COUNT,
    "model.cells": _COUNT,
    "model.deform": _NOT_NEGATIVE,
    "model.dg": _COUNT,
    "model.depth_multiplier": "(0, 10]",
    "model.width_multiplier": "(0, 10]",
    "model.resolution_multiplier": "[0.1, 10]",
    "model.phi": "[0, 10]",  # at 10, 2^10 times the MACs
    "model.layer_scale": _POSITIVE,
    "model.drop_path": _BELOW_ONE,
    "model.dropout": _BELOW_ONE,
    "jobs": _COUNT,
    "hold.tolerance": "(0, 1)",
    "data.seed": _SEED,
    "data.split_seed": _SEED,
    "data.batch_size": _COUNT,
    "data.eval_batch_size": _COUNT,
    "data.workers": _NOT_NEGATIVE,
    "data.val_fraction": "(0, 1)",
    "data.fraction": _SHARE,
    "data.test_fraction": _BELOW_ONE,
    "data.image_size": _COUNT,
    "data.eval_side": _COUNT,
    "data.scenes": _COUNT,
    "data.crop_pct": _SHARE,
    "data.std": _POSITIVE,
    "data.augment.padding": _NOT_NEGATIVE,
    "data.augment.scale": _SHARE,
    "data.augment.ratio": _POSITIVE,
    "data.augment.scale_jitter": _POSITIVE,
    "data.augment.class_crops": _PROBABILITY,
    "data.augment.mosaic": _PROBABILITY,
    "data.augment.color_jitter": _PROBABILITY,
    "data.augment.magnitude": "[0, 30]",  # torchvision's scale
    "data.augment.mixup": _NOT_NEGATIVE,  # alphas of Beta distributions, no probabilities
    "data.augment.cutmix": _NOT_NEGATIVE,
    "data.augment.erasing": _PROBABILITY,
    "head.width": _COUNT,
    "head.bins": _COUNT,
    "head.hidden": _COUNT,
    "head.stride": _COUNT,
    "head.proposals.candidates": _COUNT,
    "head.proposals.nms_iou": _PROBABILITY,
    "head.proposals.kept": _COUNT,
    "head.depth": _COUNT,
    "head.fuse": _NOT_NEGATIVE,
    "head.dropout": _BELOW_ONE,
    "head.levels": "[1, 8]",  # at 8 the coarsest stride is 1024 at least
    "head.anchors.side": _POSITIVE,
    "head.anchors.scales": _POSITIVE,
    "head.anchors.ratios": _POSITIVE,
    "head.anchors.offset": _PROBABILITY,
    "task.overlap": _BELOW_ONE,
    "task.window": _COUNT,
    "task.scales": _POSITIVE,
    "task.boundary_tolerance": _NOT_NEGATIVE,
    "task.score_threshold": _BELOW_ONE,
    "task.candidates": _COUNT,
    "task.nms_iou": _PROBABILITY,
    "task.detections": _COUNT,
    "recipe.label_smoothing": _BELOW_ONE,
    "loss.label_smoothing": _BELOW_ONE,
    "loss.class_weights": _NOT_NEGATIVE,
    "loss.gamma": _NOT_NEGATIVE,
    "loss.eps": _POSITIVE,
    "loss.alpha": _NOT_NEGATIVE,
    "loss.beta": _NOT_NEGATIVE,
    "loss.tolerance": _NOT_NEGATIVE,
    "loss.box_weight": _NOT_NEGATIVE,
    "loss.foreground": _SHARE,
    "loss.background": _PROBABILITY,
    "loss.sample": _COUNT,
    "loss.positives": _PROBABILITY,
    "loss.negatives": _NOT_NEGATIVE,
    "loss.rpn.sample": _COUNT,
    "loss.rpn.positives": _PROBABILITY,
    "loss.rpn.box_weight": _NOT_NEGATIVE,
    "loss.rpn.foreground": _SHARE,
    "loss.rpn.background": _PROBABILITY,
    "optimizer.lr": _POSITIVE,
    "optimizer.momentum": _BELOW_ONE,
    "optimizer.betas": _BELOW_ONE,
    "optimizer.alpha": _BELOW_ONE,
    "optimizer.eps": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.layer_decay": _SHARE,
    "scheduler.warmup_epochs": _NOT_NEGATIVE,
    "scheduler.warmup_lr": _NOT_NEGATIVE,
    "scheduler.min_lr": _NOT_NEGATIVE,
    "scheduler.milestones": _POSITIVE,
    "scheduler.decay_epochs": _POSITIVE,
    "scheduler.decay_rate": _POSITIVE,
    "scheduler.patience": _NOT_NEGATIVE,
    "trainer.nodes": _COUNT,
    "trainer.threads": _COUNT,
    "trainer.accumulate": _COUNT,
    "trainer.max_epochs": _COUNT,
    "trainer.max_steps": "[-1, inf)",  # -1: no limit
    "trainer.validate_every": _COUNT,
    "trainer.log_every": _COUNT,
    "callbacks.pictures.images": _NOT_NEGATIVE,
    "callbacks.gradient_clip.value": _POSITIVE,
    "callbacks.ema.decay": "(0, 1)",
    "callbacks.early_stopping.patience": _NOT_NEGATIVE,
    "logger.wandb.timeout_s": _POSITIVE,
}
_ASCENDING = (
    "data.augment.scale",
    "data.augment.ratio",
    "data.augment.scale_jitter",
    "scheduler.milestones",
)
"""Keys whose numbers go upwards."""
_NOT_EMPTY = ("head.anchors.scales", "head.anchors.ratios")
"""Lists of one number or more."""
_NOT_ABOVE = {
    "loss.background": "loss.foreground",
    "loss.rpn.background": "loss.rpn.foreground",
}
"""Keys whose number may not be above another's."""
_BATCHES = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches")
"""Keys of the trainer: a whole number is a count, a number with a point a share."""


def faults(plain: dict[str, Any]) -> Iterator[str]:
    """One line for each number outside its range; in a list, each item counts."""
    terms = _get(plain, "loss.terms")
    for key, interval in RANGES.items():
        yield from _faults(key, _get(plain, key), interval)
        group, _, name = key.partition(".")
        for term in terms if isinstance(terms, dict) and group == "loss" else ():
            of_term = f"loss.terms.{term}.{name}"
            yield from _faults(of_term, _get(plain, of_term), interval)
    weights = _get(plain, "loss.weights")
    for term in weights if isinstance(weights, dict) else ():
        yield from _faults(f"loss.weights.{term}", weights[term], _POSITIVE)
    for key in _ASCENDING:
        value = _get(plain, key)
        numbers = isinstance(value, list) and all(isinstance(v, int | float) for v in value)
        if numbers and value != sorted(value):
            yield f"{key}={value}: must be ascending"
    for key in _NOT_EMPTY:
        if _get(plain, key) == []:
            yield f"{key}=[]: must list one number or more"
    for low, high in _NOT_ABOVE.items():
        least, most = _get(plain, low), _get(plain, high)
        if all(isinstance(n, int | float) for n in (least, most)) and least > most:
            yield f"{low}={least}: must be at most {high}={most}"
    for key in (f"trainer.{name}" for name in _BATCHES):
        value = _get(plain, key)
        yield from _faults(key, value, _PROBABILITY if isinstance(value, float) else _NOT_NEGATIVE)
    devices = _get(plain, "trainer.devices")  # how many, or a list of their numbers
    interval = _NOT_NEGATIVE if isinstance(devices, list) else _COUNT
    yield from _faults("trainer.devices", devices, interval)


def _faults(key: str, value: Any, interval: str) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool) or not isinstance(item, int | float):
            continue
        if not _holds(item, interval):
            yield f"{key}={value}: must be {_in_words(interval)}"
            return


def _get(plain: dict[str, Any], key: str) -> Any:
    return keys.get(plain, key) if keys.exists(plain, key) else None


def _limits(interval: str) -> tuple[float, float]:
    low, _, high = interval[1:-1].partition(", ")
    return float(low), float(high)


def _holds(value: float, interval: str) -> bool:
    low, high = _limits(interval)
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    return above and below and math.isfinite(value)


def _in_words(interval: str) -> str:
    low, high = _limits(interval)
    least = f"at least {low:g}" if interval[0] == "[" else f"above {low:g}"
    if high == math.inf:
        return least
    return f"{least} and {'at most' if interval[-1] == ']' else 'below'} {high:.10g}"
