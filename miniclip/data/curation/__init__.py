"""Choosing pairs so that no query has too many of them, as the paper's data set was made (2.2).

Read curate.py: queries, the rarest that a pair matches, the cap; then the command, which writes a list of
what is kept.
"""
