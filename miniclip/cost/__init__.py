"""What a training run costs: arithmetic, memory, network and days (CLIP, section 2.5).

Read flop.py (arithmetic of one pair), activation_memory.py (bytes that the backward pass keeps for
one pair), then plan.py, which adds them up for a run and a card (`python -m miniclip.cost`, or `train.py --plan`).
"""
