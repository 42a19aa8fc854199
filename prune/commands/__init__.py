"""The commands: a module each, with `make_parser` and `main`. `table.py` lists them, `start.py` starts one."""
