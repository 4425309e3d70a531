"""Choosing pairs so that no query has too many of them, as the paper's data set was made (2.2).

Read curate.py (queries, the rarest that a pair matches, the cap), then balance.py (the command: what
it reads and writes, and the balance before and after).
"""
