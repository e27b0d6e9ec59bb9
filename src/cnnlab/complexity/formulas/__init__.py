"""The decks' closed forms, in plain numbers: what the counter finds, one can also work out.

`sizes`: outputs and receptive fields. `costs`: parameters, multiply-adds, memory. `scaling`: the
widths, depths and constants of families. `operators`: operators written out on lists. `losses`.
Ids F01 to F52 are the rows of `cnnlab/reference/formulas.csv`, which has worked examples.
A MAC is one multiply-add, the decks' "FLOP". Sides are square unless two are asked for.
"""
