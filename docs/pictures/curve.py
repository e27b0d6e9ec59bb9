"""Draw a run's learning curve: python docs/pictures/curve.py RUN_FOLDER OUT.png ."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from cnnlab.tracking.reading import read_run

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
run = read_run(folder)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for key, axis, label in (
    ("train/loss", left, "train (augmented)"),
    ("val/loss", left, "val"),
    ("val/top1", right, "val"),
):
    history = run.history[key]
    minutes = [seconds / 60 for seconds in history.times_s]
    axis.plot(minutes, history.values, label=label, linewidth=1.5)
left.set(xlabel="minutes", ylabel="cross-entropy")
left.legend(frameon=False)
right.axhline(run.metrics["test/top1"], color="grey", linestyle=":", linewidth=1)
right.annotate(
    f"test {run.metrics['test/top1']:.4f}", (0, run.metrics["test/top1"]), va="bottom", color="grey"
)
right.set(xlabel="minutes", ylabel="top-1 accuracy")
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
figure.suptitle(f"{run.name}: {run.cost['cost/params_m']:.2f} M parameters", fontsize=10)
figure.savefig(out, dpi=130)
