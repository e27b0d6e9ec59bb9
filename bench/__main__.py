"""Run every bench and print one table: `make bench`, or `python -m bench step jpeg`."""

import argparse
import importlib
import math
import platform
import sys
from datetime import date
from pathlib import Path

import torch

HERE = Path(__file__).parent


def main() -> None:
    """Measure, print; a bench that fails, or takes more than its `limit`, makes the exit code 1."""
    names = sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; none: all"
    )
    parser.add_argument("--gpu", action="store_true", help="measure on the GPU where a bench can")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.gpu and not torch.cuda.is_available():
        parser.error("--gpu: torch sees no CUDA device")
    device = torch.device("cuda" if arguments.gpu else "cpu")
    where = torch.cuda.get_device_name() if arguments.gpu else _processor()
    print(f"{date.today()}  torch {torch.__version__}  {where}")
    print(f"{'':44}{'ours':>12}{'reference':>12}{'ratio':>8}  target")
    failed = False
    for name in arguments.names or names:
        module = importlib.import_module(f"bench.{name}")
        on_gpu = getattr(module, "ON_GPU", False)
        if arguments.gpu and not on_gpu:
            continue
        try:
            rows = module.measure(device) if on_gpu else module.measure()
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed = True
            continue
        for row in rows:
            print(
                f"{row['name']:44}{row['ours']:>12,.4g}{row['reference']:>12,.4g}"
                f"{row['ratio']:>8.3g}  {row['target']}  ({row['unit']}; {row['note']})",
                flush=True,
            )
            if row["ours"] > row.get("limit", math.inf):
                print(f"{row['name']}: more than {row['limit']:g} {row['unit']}", file=sys.stderr)
                failed = True
    sys.exit(failed)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return f"{model or platform.processor()}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
