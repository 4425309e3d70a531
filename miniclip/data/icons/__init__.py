"""29,000 icons by thirteen teams: the same things, drawn and named on many sites.

Read sets.py (the packages and their licences; a glyph's name to a caption), render.py (a glyph to
pixels, duplicates) and icons.py (what is trained on, and the site that is not).
"""
