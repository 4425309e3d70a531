"""The pairs that come with miniclip: Unicode's emoji names and OpenMoji's drawings of them.

Read names.py (ways to say a name, and labels for zero-shot classification), drawings.py (from
drawings to pixels, and other drawings of the same concepts for natural distribution shift,
section 3.3) and emoji.py (the pairs and their splits). lessons/studies/make_table.py made
emoji.tsv.
"""
