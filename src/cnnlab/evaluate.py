"""The verb `test`: the test split under a run's checkpoint, or a classifier's weights."""

from pathlib import Path
from typing import Any, NamedTuple

from cnnlab.config import Composed
from cnnlab.errors import UserError
from cnnlab.tracking.reading import read_run
from cnnlab.tracking.redact import MARK


def checkpoint_words(checkpoint: Path) -> list[str]:
    """The config words of the run that `checkpoint` (a file in it, or its folder) belongs to.

    Raises:
        UserError: no such file, or it is not in a run folder.
    """
    if not checkpoint.exists():
        raise UserError(f"{checkpoint}: no such file")
    if checkpoint.is_file() and checkpoint.suffix != ".ckpt":
        raise UserError(
            f"{checkpoint}: not a checkpoint; give RUN or RUN/checkpoints/best.ckpt, and for a "
            "classifier's file of weights test model=NET model.weights=FILE data=SET"
        )
    for folder in (checkpoint, *checkpoint.resolve().parents[:2]):
        if (folder / "run.json").is_file():
            run = read_run(folder)
            # What was redacted is a secret, and no test needs one.
            words = [word for word in run.overrides if MARK not in word]
            # What `auto` became there, so that the figures are the run's own.
            return [*words, f"trainer.precision={run.config['trainer']['precision']}"]
    raise UserError(
        f"{checkpoint}: not in a run folder (run.json is missing); for a classifier's file of "
        "weights use test model=NET model.weights=FILE data=SET"
    )


class Evaluation(NamedTuple):
    """What a test found."""

    metrics: dict[str, float]
    """`test/...`, with the number of samples as `test/samples`; empty but in the first process."""
    lines: list[str]
    """The figures of the classes, and of a detector its errors."""


def evaluate(composed: Composed, checkpoint: Path | None) -> Evaluation:
    """Metrics on the test split.

    In the precision of the words (a run's checkpoint: the run's own), else in float32, so that
    figures do not depend on the processor.

    Raises:
        UserError: weights that do not fill the net, classifier or other head included.
    """
    from hydra.utils import instantiate

    from cnnlab import trainer as trainers
    from cnnlab.tasks.build import build_parts
    from cnnlab.tasks.error_lines import error_lines
    from cnnlab.tasks.per_class import per_class_lines
    from cnnlab.tracking.checkpoint_io import AtomicCheckpointIO

    cfg = composed.cfg.copy()
    if not any(word.startswith("trainer.precision=") for word in composed.overrides):
        cfg.trainer.precision = "32-true"
    if checkpoint is not None:
        cfg.model.weights = None  # the checkpoint holds all; their source may be gone
    trainers.resolve(cfg.trainer)
    data, task = build_parts(cfg)
    report: Any = getattr(task.net.backbone, "load_report", None)
    if checkpoint is None and report is None:
        raise UserError("test: no weights; give RUN/checkpoints/best.ckpt or model.weights=FILE")
    if checkpoint is None and report.reinitialised:
        raise UserError(f"test: {report}; a net that is partly new is not worth testing")
    new = sum(not name.startswith("backbone.") for name in task.net.state_dict())
    if checkpoint is None and new:
        raise UserError(
            f"test: model.weights={cfg.model.weights} fills the backbone alone: {new} tensors of "
            f"head={composed.choices['head']} would be new; give RUN or RUN/checkpoints/best.ckpt"
        )
    if checkpoint is not None and checkpoint.is_dir():
        paths = [checkpoint / "checkpoints" / f"{name}.ckpt" for name in (cfg.tested, "last")]
        checkpoint = next((path for path in paths if path.exists()), paths[-1])
    path = None if checkpoint is None else str(checkpoint)
    with trainers.misuse_in_one_line():
        trainer = instantiate(cfg.trainer)(task, [], [], AtomicCheckpointIO())
        # Lightning's advice to use one device does not hold here: each image is counted once.
        trainer.test(task, data, ckpt_path=path, weights_only=True, verbose=False)
    if not trainer.is_global_zero:
        return Evaluation({}, [])
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    metrics["test/samples"] = task.evaluated
    return Evaluation(metrics, [*per_class_lines(task), *error_lines(task)])
