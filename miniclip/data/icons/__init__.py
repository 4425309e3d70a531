"""160,000 icons by a hundred teams: a small web, in one format, with a part of it under seal.

Read iconify.py (the package, and an icon's name to a caption), families.py (who drew what, and which
families nobody trains on), drawing.py (an icon to pixels, and which drawings are one), icons.py (the
pairs and their splits) and sample.py (the 339 icons that come with miniclip itself).
"""
