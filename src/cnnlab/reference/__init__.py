"""Published numbers with their sources, as the lecture decks and papers print them.

`architectures.csv`: one row a published net. `name` is the file of `conf/model` that stands for it
(empty for heads, detectors and nets that are only named). `params_M` and `macs_G` are what the
source prints, `measured_params` and `measured_macs` what an independent build gave. `uncertain`
marks numbers or definitions that could not be confirmed; `accepted` says why a difference of more
than 1 % stands.

`results.csv`: one row a figure of the decks' tables T01 to T18, with its unit, data set and note;
verdicts of ablations show the published effect from there.
"""

from cnnlab.reference.architectures import Row, rows
from cnnlab.reference.results import Result, results

__all__ = ["Result", "Row", "results", "rows"]
