"""The embedded pairs: Unicode's emoji names and OpenMoji's drawings of them.

Read captions.py (ways to say a name), classes.py (labels for zero-shot classification), render.py
(drawings to pixels), dataset.py (the pairs and their splits) and drawings.py (the same concepts drawn
by others, for natural distribution shift, section 3.3). lessons/studies/make_table.py made emoji.tsv.
"""
