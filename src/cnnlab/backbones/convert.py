"""Weights of the same net under other names: into timm's names, by order.

    python -m cnnlab.backbones.convert SOURCE --name tf_efficientnet_lite0 --out FILE.safetensors

Two writings of one net usually register the same layers in the same order. That is only taken for
granted where every pair of tensors has the same shape and the same last name (weight, bias,
running_mean ...); test the result on labelled images all the same.
"""

import argparse
from pathlib import Path

import timm
import torch
from safetensors.torch import save
from torch import Tensor

import cnnlab.backbones  # noqa: F401  (registers ours)
from cnnlab.atomic import write_bytes
from cnnlab.backbones.weight_files import read
from cnnlab.errors import UserError, nearest, one_line_errors


def convert(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of `state`, in their order, under the names of timm's net `name`.

    Raises:
        UserError: an unknown net, or the first pair of tensors that differ.
    """
    if not timm.is_model(name):
        raise UserError(f"--name {name}: no such net{nearest(name, timm.list_models())}")
    with torch.device("meta"):
        target = timm.create_model(name).state_dict()
    for (theirs, value), (ours, wanted) in zip(state.items(), target.items(), strict=False):
        same_word = theirs.rpartition(".")[2] == ours.rpartition(".")[2]
        if value.shape != wanted.shape or not same_word:
            raise UserError(
                f"--name {name}: not the same net in the same order; the first difference is "
                f"{theirs} {tuple(value.shape)} beside {ours} {tuple(wanted.shape)}"
            )
    if len(state) != len(target):
        raise UserError(f"--name {name}: has {len(target)} tensors, the source {len(state)}")
    return {key: value.contiguous() for key, value in zip(target, state.values(), strict=True)}


def main() -> None:
    """Read SOURCE, convert, write FILE whole or not at all."""
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser("cnnlab.backbones.convert", description=description)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="torch or safetensors file")
    parser.add_argument("--name", required=True, help="the net's name in timm")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.safetensors")
    options = parser.parse_args()
    with one_line_errors():
        if not options.source.is_file():
            raise UserError(f"{options.source}: no such file")
        if not options.out.parent.is_dir():
            raise UserError(f"--out {options.out}: no such folder")
        state = convert(read(options.source, str(options.source)), options.name)
        write_bytes(options.out, save(state, metadata={"format": "pt", "name": options.name}))
    print(f"{options.out}: {len(state)} tensors for {options.name}")


if __name__ == "__main__":
    main()
