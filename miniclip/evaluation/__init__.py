"""The paper's evaluations of a trained model: one file for each question, with its section of the report.

Read confidence.py (accuracy and its interval) and features.py (what is computed once) first. Then
retrieval.py (the paper's appendix), ensembles.py (section 3.1.4), linear_probe.py (3.2; few shots,
3.1.5), robustness.py (3.3), data_overlap.py with near_duplicates.py (5), bias.py (7.1), and
weight_average.py (averages with the weights before fine-tuning). The function write(context) of
such a file prints and records the tables and figures of its section, and returns the numbers.
context.py holds what the sections share, and report/ what they write to. families.py (3.1, 3.1.4)
and shots.py (3.1.5) are about icons, where whole families are held out.
Zero-shot classification itself (3.1) is miniclip/zeroshot.py. Studies that train many models are in
lessons/studies/.
"""
