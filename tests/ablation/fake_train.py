"""Stands for train.py: counts epochs with sleeps, keeps a run folder, and ends as it is told to.

Words: `seed`, `value` (the metric), `epochs`, `epoch_s`, `trace` (a file that gets a line for each
epoch done), `gate` (a file that must exist for the epoch after the first), `crash` (error | kill |
silent | refuse | nothing) while the file `broken` exists.
`deaf`: Ctrl-C is ignored. `auto`: the identity is another than the planned one.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

words = dict(word.split("=", 1) for word in sys.argv[1:])
folder = Path(os.environ["CNNLAB_JOB_FOLDER"])
checkpoint = folder / "checkpoints" / "last.ckpt"
resumed = checkpoint.exists()
job = json.loads(os.environ["CNNLAB_JOB"])
record = folder / "run.json"
if record.exists() != resumed:
    sys.exit("a record and no checkpoint, or the other way round")
crash = words.get("crash") if Path(words.get("broken", "/none")).exists() else None
if crash == "refuse":
    print("error: data.root=/nowhere: not there", file=sys.stderr)
    sys.exit(2)
identity = job["identity"]
code = {"commit": os.environ.get("FAKE_COMMIT")}
if "FAKE_DIFF" in os.environ:  # older records have none
    code["diff"] = os.environ["FAKE_DIFF"] or None
fields = {
    "schema": 1,
    "status": "running",
    "reason": None,
    "identity": "what auto became" if "auto" in words else identity,
    "job": job,
    "seed": int(words["seed"]),
    "overrides": sys.argv[1:],
    "config": {"trainer": {"max_epochs": int(words["epochs"])}},
    "metrics": {},
    "best": None,
    "cost": {"cost/params_m": 0.25, "cost/gmacs": None},
    "time": {"sessions": [code], "total_s": 1.0},
    "git": code,
    "name": folder.name,
    "choices": {},
    "data": {},
    "tested": "last",
    "environment": {},
    "weights": None,
    "parent": None,
    "wandb_id": None,
}


def write(**changes: object) -> None:
    part = folder / "run.json.part"
    part.write_text(json.dumps(fields | changes))
    part.rename(record)


def trace(event: str) -> None:
    with open(words["trace"], "a") as file:
        file.write(f"{folder.name} {event}\n")


if "deaf" in words:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
checkpoint.parent.mkdir(exist_ok=True)
write()
trace("resumed" if resumed else "started")
try:
    done = int(checkpoint.read_text()) if resumed else 0
    for epoch in range(done, int(words["epochs"])):
        if epoch and "gate" in words:
            while not Path(words["gate"]).exists():
                time.sleep(0.01)
        time.sleep(float(words.get("epoch_s", 0)))
        if epoch == 1 and crash == "error":
            raise RuntimeError("out of luck")
        if epoch == 1 and crash == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if epoch == 1 and crash == "silent":
            os._exit(0)
        with (folder / "metrics.csv").open("a") as file:
            if not epoch:
                file.write("step,epoch,time_s,key,value\n")
            file.write(f"{epoch},{epoch + 1},1.0,val/top1,0.{epoch + 1}\n")
        part = checkpoint.with_suffix(".part")
        part.write_text(str(epoch + 1))
        part.rename(checkpoint)  # whole or absent, as the real one
        trace(f"epoch {epoch}")
    (folder / "weights.safetensors").write_text("")
    (folder / "backbone.safetensors").write_text("")
    best = {"key": "val/top1", "value": 0.5}
    write(status="finished", metrics={"test/top1": float(words["value"])}, best=best)
except KeyboardInterrupt:
    write(status="stopped", reason="KeyboardInterrupt: Ctrl-C")
    sys.exit(130)
except RuntimeError as error:
    write(status="failed", reason=f"RuntimeError: {error}")
    raise
