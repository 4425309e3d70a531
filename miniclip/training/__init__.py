"""Training (CLIP, section 2.5): hyperparameters, the optimizer, micro-batches, checkpoints.

Read recipe.py (hyperparameters, schedule), optimizer.py (AdamW with 16-bit moments) and
grad_cache.py (a batch larger than memory) first: they are the paper's. freeze.py is for fine-tuning.
The rest serves the loop in train.py: config.py (options), pairs.py (pairs and vocabulary), monitor.py
(when to stop and to save), archive.py and checkpoint.py (files), logging.py (lines and curves).
"""
