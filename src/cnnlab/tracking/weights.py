"""The trained net as plain weight files, without a trainer's state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from cnnlab.atomic import replacing


def save_weights(net: nn.Module, folder: Path, metadata: dict[str, str]) -> None:
    """Write `weights.safetensors` (the net) and `backbone.safetensors` (timm's key names).

    `timm.create_model(name, checkpoint_path=".../backbone.safetensors")` and `model.weights=RUN`
    read the latter; it is left out where the net has no `backbone`.
    """
    _save(net.state_dict(), folder / "weights.safetensors", metadata)
    backbone: Any = getattr(net, "backbone", None)
    if backbone is not None:
        state = backbone.state_dict()
        # Feature extractors call some of their tensors by other names.
        if hasattr(backbone, "in_timm_names"):
            state = backbone.in_timm_names(state)
        _save(state, folder / "backbone.safetensors", metadata)


def _save(state: Mapping[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        # The format has no shared storage: tied weights are written out twice.
        tensors[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    needed = sum(tensor.nbytes for tensor in tensors.values())
    with replacing(target, needed) as part:
        part.touch()
        mode = part.stat().st_mode  # safetensors makes its files for their owner alone
        safetensors.torch.save_file(tensors, part, metadata={"format": "pt"} | metadata)
        part.chmod(mode)
