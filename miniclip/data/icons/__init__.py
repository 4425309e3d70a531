"""160,000 icons by a hundred teams, like a small web in one format. A part is under seal.

Read iconify.py (the package, and from an icon's name to a caption), families.py (who drew what, and
which families no model is trained on), drawing.py (from an icon to pixels, and which drawings count
as one picture), icons.py (the pairs and their splits) and sample.py (the 339 icons that come with
miniclip itself).
"""
