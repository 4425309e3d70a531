"""Choosing pairs so that no query has too many of them, as the paper's data set was made (2.2).

Read sources.py (captions as a stream), curate.py (queries, the rarest that a pair matches, the cap)
and balance.py (the table, the picture and the command).
"""
