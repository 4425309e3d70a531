"""The paper's evaluations of a trained model, one file for each question, and their report.

Read confidence.py (accuracy and its interval) and features.py (what is computed once) first. Then
retrieval.py (the paper's appendix), linear_probe.py (section 3.2; few shots, 3.1.5) with
crossing.py, robustness.py (3.3), human_comparison.py (4), data_overlap.py with synthetic_duplicates.py (5) and bias.py (7.1).
unseen_site.py (3.1, 3.1.4, 3.1.5, 5), supervised_baseline.py (3.3) and scaling.py (figures 9 and 13
to 15) are about pairs that hold out a whole site (icons); the last starts train.py, so it stands above
all others.
Zero-shot classification itself (3.1) is miniclip/zeroshot.py. context.py turns the options of
eval.py into data and holds what the sections of report/ share.
"""
