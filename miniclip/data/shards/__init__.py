"""Pairs in tar files, as webdataset and img2dataset write them.

Read tar.py (the members of a tar that may be damaged), index.py (where each pair lies), dataset.py
(the pairs) and pack.py (writes shards).
"""
