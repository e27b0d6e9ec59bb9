"""Tensors from a file of weights, without ever executing code from it."""

import pickle
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor

from cnnlab.errors import UserError


def read(path: Path, asked: str) -> dict[str, Tensor]:
    """The net's tensors in a safetensors file, a torch file or one of our checkpoints.

    Never executes code from the file. Wrappers' prefixes (DDP, compile, our task) are removed.

    Args:
        path: the file.
        asked: what the user wrote, for errors.

    Raises:
        UserError: the cause, and the remedy where there is one.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise UserError(f"{asked}: the file is empty; copy it again")
    is_safetensors = head[8:9] == b"{"  # first: the size before it may be any bytes
    if not is_safetensors and head.lstrip()[:1] == b"<":
        raise UserError(f"{asked}: this is a web page; download the file itself")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{asked}: this is a Git LFS pointer; run `git lfs pull`")
    try:
        if is_safetensors:
            found: Any = load_file(path)
        else:
            # timm's own training script keeps its arguments, a Namespace, beside the weights.
            with torch.serialization.safe_globals([Namespace]):
                found = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise UserError(f"{asked}: cut off or damaged ({error}); copy it again") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{asked}: {_refusal(str(error))}") from error
    except (RuntimeError, EOFError, ValueError, LookupError, AttributeError, OSError) as error:
        raise UserError(
            f"{asked}: cut off, damaged or no file of weights; copy it again"
        ) from error
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):  # timm's and Lightning's
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"{asked}: it holds no dictionary of tensors")
    state = clean_state_dict({key.replace("_orig_mod.", ""): v for key, v in found.items()})
    for prefix in ("net.backbone.", "backbone."):
        ours = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if ours:
            return ours
    if not state:
        raise UserError(f"{asked}: it holds no tensors")
    return state


def _refusal(error: str) -> str:
    """Why torch's safe reader refused a file."""
    asked = re.search(r"GLOBAL (\S+)", error)
    if asked is None:
        return "no file of weights, or damaged; copy it again"
    return (
        f"refused: reading it would run code ({asked[1]}); where you trust it, save its state_dict "
        "alone (safetensors.torch.save_file)"
    )
