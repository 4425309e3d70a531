"""Pairs in tar files, in the layout of webdataset and img2dataset.

Read tar_index.py (the members of a tar that may be damaged, and where each pair lies), shards.py
(the pairs), remote.py (fetching shards over a network) and pack.py (writing shards).
"""
