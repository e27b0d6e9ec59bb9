"""The verb `check`: everything that can be known before the long run."""

import time

from cnnlab.config import Composed


def preflight(composed: Composed) -> None:
    """Print what the data hold, what one training step does and what the net costs.

    Raises:
        UserError: the first thing that would stop the run.
    """
    from cnnlab import trainer as trainers
    from cnnlab.complexity.count import count
    from cnnlab.complexity.table import summary_line
    from cnnlab.tasks.build import build_parts

    cfg = composed.cfg.copy()
    trainers.resolve(cfg.trainer)
    data, task = build_parts(cfg)
    summary = data.summary()
    sizes = ", ".join(f"{name} {size}" for name, size in summary["sizes"].items())
    print(
        f"data     {sizes}; {len(data.classes)} classes, {min(data.class_counts)} to "
        f"{max(data.class_counts)} training images each"
        + ("; test is val" if summary["test_is_val"] else "")
    )
    data.check_files(print)
    start = time.perf_counter()
    cfg.trainer.limit_train_batches = cfg.trainer.limit_val_batches = 1
    cfg.trainer.max_epochs = 1
    print(f"batch    {time.perf_counter() - start:.2f} s")
    print("cost     " + summary_line(count(task.net, (data.channels, *data.image_size)), None))
