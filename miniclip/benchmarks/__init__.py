"""How fast miniclip is, beside other libraries (`python -m miniclip.benchmarks`).

    timer.py         runs the compared functions turn by turn, and makes the table
    towers.py        both towers and a training step, beside open_clip
    tokenizing.py    the tokenizer, beside open_clip's and Hugging Face's
    loading.py       loading pairs from shards, beside webdataset

The loss has a benchmark of its own, kernels/bench, which uses the same timer.
"""
