"""Choosing pairs so that no query has too many of them, as the paper's data set was made (2.2).

Read curate.py. It makes queries, assigns each pair to the rarest query that the pair matches, and
keeps at most a fixed number of pairs for each query. The command then writes a list of the pairs
kept.
"""
