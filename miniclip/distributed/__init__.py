"""Many processes, one for each GPU, that train one model (CLIP, section 2.5: sharded similarities).

Read collectives.py (what the loss sends between ranks) first, then process_group.py (how ranks
start, agree and stop together). simulated_ranks.py has the same collectives in threads of one
process, for lessons and tests.
"""
