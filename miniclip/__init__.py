"""CLIP from scratch, to be read, run and trusted (Radford et al. 2021)."""
