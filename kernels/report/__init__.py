"""What the compiler makes of every kernel, and the plan's tables: `python -m kernels.report`.

Read in this order: compiler.py (registers, spills and instructions of one kernel), __main__.py (the
tables and the bars that must hold). The plan itself is kernels/plan.py.
"""
