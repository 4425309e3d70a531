"""CLIP itself: a picture tower and a text tower (CLIP, section 2.4).

Read in this order: transformer.py (the block of the text tower and of the ViT), text.py (the text
tower), vit.py (the ViT, a picture tower that reads patches), blurpool.py and attnpool.py (two
layers of the ResNet), resnet.py (the ResNet, the other picture tower), clip.py (both towers
together, and MODELS). Nothing here knows about ranks, devices or files.
"""
