"""The commands: one module each, with `make_parser` and `main`. `table.py` lists them, `start.py` runs one."""
