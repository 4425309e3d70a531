"""What the compiler makes of every kernel, and the predicted time: `python -m kernels.report`.

Read in this order: compiler.py (registers, spills and instructions of one kernel), roofline.py (cost,
floor and prediction), __main__.py (the tables and the bars that must hold).
"""
