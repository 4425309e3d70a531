"""Training (CLIP, section 2.5): hyperparameters, the optimizer, micro-batches, checkpoints.

First read recipe.py (hyperparameters, schedule), optimizer.py (AdamW with 16-bit moments) and
grad_cache.py (a batch larger than memory), which follow the paper. freeze.py is for fine-tuning.
The other files serve the loop in train.py: config.py (options), pairs.py (pairs and vocabulary),
monitor.py (when to stop and to save), archive.py and checkpoint.py (checkpoints), logging.py (log
lines and curves).
"""
