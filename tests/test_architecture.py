"""The arrows of the design: which part of the package may import which."""

import ast
from pathlib import Path

import cnnlab

SOURCE = Path(cnnlab.__file__).parent
ANYONE = {"errors", "seeding", "atomic", "figure"}
ALLOWED = {
    # A plan checks configs, counts nets and probes a few steps of training.
    "ablation": {"tracking", "config", "complexity", "reference", "tasks", "trainer"},
    "anchor_doctor": {"boxes", "data", "tasks"},
    "boxes": set(),
    "backbones": set(),
    "heads": {"boxes"},
    "losses": {"boxes", "pixels"},
    "data": {"pixels"},
    "metrics": {"pixels"},
    "complexity": set(),
    "surgery": {"complexity"},
    "reference": set(),
    "config": set(),
    "tasks": {"metrics", "data", "boxes", "pixels"},
    # The folding of a tested net measures it again.
    "callbacks": {"data", "tracking", "pixels", "surgery", "complexity"},
    "tracking": {"complexity", "reference"},
}


def test_arrows():
    seen, wrong = 0, []
    for file in SOURCE.rglob("*.py"):
        part = file.relative_to(SOURCE).parts[0]
        if part not in ALLOWED:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                if node.level:
                    wrong.append(f"{file.relative_to(SOURCE)} imports relatively")
                modules = [f"{node.module}.{a.name}" for a in node.names]
                names = modules if node.module == "cnnlab" else [node.module or ""]
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name.startswith("cnnlab."):
                    seen += 1
                    target = name.split(".")[1]
                    if target not in ALLOWED[part] | ANYONE | {part}:
                        wrong.append(f"{file.relative_to(SOURCE)} imports {name}")
    assert seen > 20
    assert not wrong, "\n".join(wrong)
