"""What a training run costs: arithmetic, memory, network and days (CLIP, section 2.5).

Read in this order: flop.py (the arithmetic of one pair), activation_memory.py (the bytes that are
kept for the backward pass of one pair), plan.py, which adds them up for a run and a card
(`python -m miniclip.cost`, or `train.py --plan`).
"""
