"""The paper's evaluations of a trained model, one file for each question, and the report of them all.

Read confidence.py (accuracy and its interval) and features.py (what is computed once) first. Then
retrieval.py (appendix), linear_probe.py (3.2, few shots 3.1.5), robustness.py (3.3),
human_comparison.py (4), data_overlap.py with synthetic_duplicates.py (5) and bias.py (7.1); zero-shot
classification itself (3.1) is miniclip/zeroshot.py. context.py holds the data of one report/.
"""
