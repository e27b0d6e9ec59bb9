"""The command line of several runs: planned, shown, launched."""

from cnnlab.ablation.plan import plan


def multirun(words: list[str]) -> int:
    """Plan what `words`, as typed after `train.py`, stand for; launch it unless `dry=true`.

    Returns:
        The exit code.

    Raises:
        UserError: whatever is wrong with any job, before the first starts.
    """
    planned = plan(words)
    cfg = planned.cfg
    from cnnlab.ablation.dry import arms_table, dry_run

    if cfg.dry:
        dry_run(planned)
        return 0
    print(arms_table(planned), flush=True)
    from cnnlab.ablation.launch import launch

    slurm = None if cfg.slurm is None else dict(cfg.slurm)
    if planned.tuning is not None:
        from cnnlab.ablation.tuned import tuned

        planned, code = tuned(planned, jobs=cfg.jobs, stale=cfg.stale, slurm=slurm)
        if code:
            return code
    return launch(planned.plan, jobs=cfg.jobs, stale=cfg.stale, keep=cfg.keep, slurm=slurm)
