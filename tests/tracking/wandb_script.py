"""What people who only use plain `wandb` run; started as a process by the tests.

Its words are kind, folder and id of one run after another.
"""

import math
import os
import signal
import sys

import wandb


def log(run: wandb.Run, kind: str, number: int) -> None:
    if kind == "whole":
        run.config["batch_size"] = 32
        run.config.update({"lr": 0.2}, allow_val_change=True)
        for step in range(40):
            row = {"train/loss": 1 / (step + 1), "deep": {"er": {"still": step}}}
            row |= {"epoch": step // 10} | ({"val/acc": step / 40} if step % 10 == 9 else {})
            run.log(row)
        run.log({"nan": math.nan, "inf": math.inf, "flag": True, "word": "w", "list": [1.0, 2.0]})
        media = {"histogram": wandb.Histogram([1, 2, 3]), "rows": wandb.Table(["x"], [[1]])}
        run.log(media, step=60)
        run.summary["best"] = 0.975
        run.summary["nested"] = {"top": 1}
    if kind == "axis":
        run.define_metric("*", step_metric="my/step")
        for step in range(number, number + 10):
            run.log({"my/step": step, "train/loss": number + step})
    if kind == "plain":
        for step in range(number):
            run.log({"train/loss": step})
    if kind == "killed":
        for step in range(3000):  # some blocks of 32 KiB
            run.log({"train/loss": 1 / (step + 1), "val/acc": step})
        os.kill(os.getpid(), signal.SIGKILL)


for kind, number, folder, run_id in zip(*(iter(sys.argv[1:]),) * 4, strict=True):
    run = wandb.init(
        project="plain",
        group="widths",
        job_type="train",
        name="wide",
        id=run_id,
        tags=["a", "b"],
        notes="does it help?",
        config={"seed": 7, "lr": 0.1, "model": {"width": 64, "stages": [3, 4, 6]}, "none": None},
        dir=folder,
        mode="offline",
        resume="allow",
        settings=wandb.Settings(console="off"),
    )
    log(run, kind, int(number))
    run.finish(exit_code=3 if kind == "failed" else 0)
