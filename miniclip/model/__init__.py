"""CLIP itself: a picture tower and a text tower (CLIP, section 2.4).

Read transformer.py (the block that both towers use), text.py (the text tower), vit.py (pictures as
patches), blurpool.py and attnpool.py (two parts of the other picture tower), resnet.py (that
tower), clip.py (both towers, and MODELS). Nothing here knows about ranks, devices or files.
"""
