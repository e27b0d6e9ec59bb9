"""A comparison as LaTeX tables, for a paper: booktabs, no colours."""

from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.grids import Grid, basis, grids, heading

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after \\ it would begin an argument
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex(comparison: Comparison) -> str:
    """One `table` a grid; warnings as comments, since no figure should travel without them."""
    lines = [r"% needs \usepackage{booktabs}", f"% {heading(comparison)}", f"% {basis(comparison)}"]
    lines += [f"% unfair or incomplete: {line}" for line in comparison.warnings]
    lines += [f"% {line}" for line in comparison.notes]
    head = "\n".join(line.replace("\n", " ") for line in lines)
    return "\n\n".join([head, *(_table(grid) for grid in grids(comparison))]) + "\n"


def escape(text: str) -> str:
    """`text` so that LaTeX prints it as it is.

    Other letters than ASCII stay; pdfLaTeX since 2018 and XeLaTeX read them as UTF-8.
    """
    return "".join(_SPECIAL.get(sign, sign) for sign in text.replace("\n", " "))


def _table(grid: Grid) -> str:
    left = (0, grid.header.index("verdict") if "verdict" in grid.header else 0)
    columns = "".join("l" if place in left else "r" for place in range(len(grid.header)))
    if grid.header[0] == "key":
        columns = r"lp{0.6\linewidth}"  # of many groups the values take several lines
    rows = []
    for index, row in enumerate(grid.rows):
        cells = [_cell(cell) for cell in row]
        rows.append(
            [rf"\textbf{{{c}}}" if (index, i) in grid.strong else c for i, c in enumerate(cells)]
        )
    body = "\n".join(f"  {' & '.join(row)} \\\\" for row in rows)
    head = " & ".join(escape(title) for title in grid.header)
    caption = escape(f"{grid.title}. {grid.foot}" if grid.foot else grid.title)
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption}.}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"  \toprule",
            f"  {head} \\\\",
            r"  \midrule",
            body,
            r"  \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    )


def _cell(text: str) -> str:
    """A number with a sign is set in mathematics, so that the minus is one."""
    signed = text[:1] in "+-" and text[1:2].isdigit()
    return f"${text}$" if signed else escape(text)
