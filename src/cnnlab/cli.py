"""The verbs: `python -m cnnlab VERB ...`. Heavy imports wait until the config is valid."""

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnlab.errors import UserError, nearest, one_line_errors
from cnnlab.figure import figure

if TYPE_CHECKING:
    from cnnlab.verify import Comparison

_HELP = """\
python -m cnnlab VERB [words]

  cost    model=resnext50_32x4d [--json]    layer by layer: shape, parameters, MACs, activations, receptive field;
                                            at the net's own input, or that of data=SET; --input 3x224x224
  models  [WORD] [--deck 2] [--timm]        named configs (deck, parameters, GMACs, knobs), also of --config-dir DIR;
                                            with --timm every net of model=timm model.name=NAME
  verify  [WORD]                            published parameters and MACs beside measured ones
  fold    model=NET [model.weights=RUN]     BatchNorm folded: which layers, the difference, latency before and after;
                                            with data=SET at its size and channels
  check   data=SET model=NET                before the long run: config, files (20,000 a split at most), one step, cost;
                                            of detection the anchors, drawn with --figure FILE.png
  anchors data=SET model=NET                the word for anchors that are fitted to the set, or for the present ones where those
                                            are no better; prints nothing else
  test    RUN/checkpoints/best.ckpt [--json]           the test split again, with the run's own config and precision
  test    model=NET model.weights=FILE data=SET        weights of a classifier, in float32
  compare PATHS [--by KEY] [--metric KEY] [--cost gmacs] [--baseline GROUP] [--ignore KEY] [--watch]
          [--markdown FILE] [--latex FILE] [--csv FILE] [--html FILE] [--collect DIR]
          [--wandb-report ENTITY/PROJECT]
                                            runs by config over seeds: means, paired differences, verdicts, what is unfair;
                                            PATHS: run folders, multiruns, W&B's folders, wandb:ENTITY/PROJECT/GROUP
  tune    model=NET data=SET 'space={optimizer.lr: [1e-4, 1e-1, log], recipe: [fast, gentle]}' trials=20
          metric=val/top1 name=NAME [jobs=N] [sampler=random]
                                            a search by Optuna; repeating the command goes on

Config words (GROUP=NAME, KEY=VALUE, --config-dir DIR) are those of train.py: python train.py --help
"""


def main(words: list[str] | None = None) -> None:
    """Run one verb; a user's error is one line and exit code 2."""
    words = sys.argv[1:] if words is None else words
    verbs = {
        "cost": cost,
        "models": models,
        "verify": verify,
        "fold": fold,
        "check": check,
        "anchors": anchors,
        "test": test,
        "compare": compare,
        "tune": tune,
    }
    if not words or words[0] in ("-h", "--help") or "--help" in words or "-h" in words:
        print(_HELP)
        return
    with one_line_errors():
        if words[0] not in verbs:
            allowed = ", ".join(verbs)
            raise UserError(
                f"{words[0]}: no such verb{nearest(words[0], verbs)} (there are {allowed})"
            )
        verbs[words[0]](words[1:])


def cost(words: list[str]) -> None:
    """Print what a net costs."""
    as_json, words = _flag(words, "--json")
    given, words = _option(words, "--input", "3x224x224")
    composed = _checked(words)
    from hydra.utils import instantiate

    from cnnlab.complexity.count import count
    from cnnlab.complexity.table import render, to_dict

    net, size = _net(composed)
    if given:
        size = _parse_size(given)
        if not _names_data(composed) and size[0] != 3:
            net = instantiate(composed.cfg.model)(in_chans=size[0])
    counted = count(net, size)
    print(json.dumps(to_dict(counted)) if as_json else render(counted))


def models(words: list[str]) -> None:
    """Print the named configs with deck, cost and knobs, or timm's names."""
    from cnnlab.catalogue import entries, table
    from cnnlab.config.folder import CONF

    timm_too, words = _flag(words, "--timm")
    own, words = _option(words, "--config-dir", "labconf")
    deck, words = _option(words, "--deck", "2")
    if len(words) > 1 or any(word.startswith("-") for word in words):
        raise UserError(
            f"models {' '.join(words)}: takes [WORD] [--deck N] [--timm] [--config-dir DIR]"
        )
    if timm_too and deck is not None:
        raise UserError(f"models --timm --deck {deck}: timm's names have no decks; leave one out")
    pattern = _pattern(words)
    if timm_too:
        import timm

        import cnnlab.backbones  # noqa: F401  (registers ours)

        lines = timm.list_models(pattern)
    else:
        folders = [CONF, *([Path(own)] if own else [])]
        found = [e for e in entries(pattern, folders) if deck is None or e.is_in(deck)]
        lines = list(table(found)) if found else []
    if not lines:
        other = f" in deck {deck}" if deck else ""
        other += "" if timm_too else "; nets that only timm names: --timm"
        raise UserError(f"models {pattern}: no such name{other}")
    print("\n".join(lines))


def verify(words: list[str]) -> None:
    """Print published beside measured costs; exit code 1 where they differ without a reason."""
    if len(words) > 1 or any(word.startswith("-") for word in words):
        raise UserError(f"verify {' '.join(words)}: takes [WORD]")
    from cnnlab.verify import compare, published, table

    rows = published(_pattern(words))
    if not rows:
        raise UserError(f"verify {words[0]}: no published net of that name")
    seen: list[Comparison] = []

    def each() -> "Iterator[Comparison]":
        for comparison in compare(rows):
            seen.append(comparison)
            yield comparison

    for line in table(each()):
        print(line, flush=True)
    counts = Counter(comparison.verdict for comparison in seen)
    print(", ".join(f"{number} {verdict}" for verdict, number in counts.most_common()))
    if counts["DIFFERS"] or counts["stale"]:
        sys.exit(1)


def fold(words: list[str]) -> None:
    """Fold BatchNorm into the layers before it; say what changed in numbers and in time."""
    composed = _checked(words)
    from cnnlab.surgery.fold_bn import MAX_DIFFERENCE, effect, vary_statistics
    from cnnlab.surgery.fold_bn import fold as folded

    net, size = _net(composed)
    given = composed.cfg.model.weights is not None
    if not given:
        vary_statistics(net)
    after, report = folded(net, size)
    print(report)
    found = effect(net, after, size, composed.cfg.trainer.threads)
    faster = found.before.median_ms / found.after.median_ms
    threads = f"{found.after.threads} thread{'s' * (found.after.threads > 1)}"
    whose = "the weights given" if given else "random statistics"
    print(f"outputs  differ by {found.difference:.1e} of the largest, on noise, with {whose}")
    print(
        f"latency  {found.before.median_ms:.3g} ms before, {found.after.median_ms:.3g} ms after "
        f"({faster:.2f} times as fast; {found.after.device}, {threads})"
    )
    if not found.difference <= MAX_DIFFERENCE:  # NaN is no equality
        raise UserError(
            f"the outputs differ by more than {MAX_DIFFERENCE:g}: folding changed the net"
        )


def _names_data(composed: Any) -> bool:
    return any(word.startswith("data=") for word in composed.overrides)


def _net(composed: Any) -> tuple[Any, tuple[int, int, int]]:
    """The net at its own input, or the one for the data set that the words name at that of the set.

    The files of the set must be there: they tell the classes.
    """
    from hydra.utils import instantiate

    from cnnlab.tasks.build import build_parts

    if _names_data(composed):
        data, task = build_parts(composed.cfg)
        return task.net, (data.channels, *data.image_size)
    net = instantiate(composed.cfg.model)()
    return net, tuple(net.pretrained_cfg["input_size"])


def check(words: list[str]) -> None:
    """Say what would go wrong, before the long run."""
    figure, words = _option(words, "--figure", "anchors.png")
    composed = _checked(words)
    print("config   ok", flush=True)
    from cnnlab.preflight import preflight

    preflight(composed, None if figure is None else Path(figure))


def anchors(words: list[str]) -> None:
    """Print the config word for anchors that are fitted to a set."""
    composed = _checked(words)
    from cnnlab.preflight import fitted_anchors

    print(fitted_anchors(composed))


def test(words: list[str]) -> None:
    """Evaluate a checkpoint of a run, or a classifier's weights, on the test split."""
    as_json, words = _flag(words, "--json")
    from cnnlab.evaluate import checkpoint_words, evaluate

    checkpoint = None
    own, words = _option(words, "--config-dir", "labconf")
    paths = [word for word in words if "=" not in word and not word.startswith("-")]
    if paths:
        checkpoint = Path(paths[0])
        words.remove(paths[0])
        words = checkpoint_words(checkpoint) + words
    words += [f"--config-dir={own}"] if own else []
    composed = _checked(words)
    metrics, lines = evaluate(composed, checkpoint)
    if not metrics:  # not the first process of several
        return
    if as_json:
        print(json.dumps({k: None if math.isnan(v) else v for k, v in metrics.items()}))
        return
    for key, value in metrics.items():
        print(f"{key:24}{figure(value) if isinstance(value, float) else value}")
    for line in lines:
        print(line)


def compare(words: list[str]) -> None:
    """Hold finished runs against one another."""
    from cnnlab.compare_verb import compare_verb

    compare_verb(words)


def tune(words: list[str]) -> None:
    """Search a space of settings on val."""
    from cnnlab.ablation.search_verb import tune_verb

    if code := tune_verb(words):
        sys.exit(code)


def _checked(words: list[str]) -> Any:
    from cnnlab.config import check as check_config
    from cnnlab.config import compose

    composed = compose(words)
    check_config(composed)
    return composed


def _pattern(words: list[str]) -> str:
    """For names, which have no capitals: `shuffle` stands for `*shuffle*`."""
    word = words[0].lower() if words else "*"
    return word if "*" in word else f"*{word}*"


def _flag(words: list[str], name: str) -> tuple[bool, list[str]]:
    return name in words, [word for word in words if word != name]


def _option(words: list[str], name: str, example: str) -> tuple[str | None, list[str]]:
    """The value of `--name VALUE` or `--name=VALUE`, and the words without it."""
    for i, word in enumerate(words):
        if word == name:
            if i + 1 == len(words):
                raise UserError(f"{name}: a value is missing, for example {name} {example}")
            return words[i + 1], words[:i] + words[i + 2 :]
        if word.startswith(name + "="):
            return word.split("=", 1)[1], words[:i] + words[i + 1 :]
    return None, words


def _parse_size(text: str) -> tuple[int, int, int]:
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--input {text}: must be channels x height x width, for example 3x224x224")
    return int(parts[0]), int(parts[1]), int(parts[2])
