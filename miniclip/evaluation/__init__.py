"""The paper's evaluations of a trained model, one file for each question, and their report.

Read confidence.py (accuracy and its interval) and features.py (what is computed once) first. Then
retrieval.py (the paper's appendix), linear_probe.py (section 3.2; few shots, 3.1.5) with
crossing.py, robustness.py (3.3), human_comparison.py (4), data_overlap.py with synthetic_duplicates.py (5) and bias.py (7.1).
unseen_site.py (3.1, 3.1.4, 3.1.5, 5) is about pairs that hold out a whole site (icons). Evaluations that
train many models are not here but in lessons/studies/.
Zero-shot classification itself (3.1) is miniclip/zeroshot.py. context.py turns the options of
eval.py into data and holds what the sections of report/ share.
"""
