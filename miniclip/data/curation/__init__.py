"""Choosing pairs so that no query has too many of them (CLIP, section 2.2).

The paper's data set was made in this way. A query is a word or a short phrase that captions may
contain. Read curate.py. It makes queries, assigns each pair to the rarest query that the pair
matches, and keeps at most a fixed number of pairs for each query. The command then writes a list of
the pairs kept.
"""
