"""The report of eval.py: one file for each section, in the paper's order of topics.

A section has a function write(context) that prints and records its tables and figures and returns
its numbers. Read writer.py (tables and text), then retrieval.py, zero_shot.py, probes.py,
robustness.py, human_comparison.py, data_overlap.py and bias.py. Each writes what the file of that
name one folder up computes (probes: linear_probe.py; zero_shot: miniclip/zeroshot.py). unseen_site/
has the sections on pairs that hold out a whole site (icons). weight_average.py is the report of
eval.py --average-with. plots.py draws the figures.
"""
