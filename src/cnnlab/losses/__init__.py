"""What training minimises: one loss a file, formula and shapes in its docstring."""
