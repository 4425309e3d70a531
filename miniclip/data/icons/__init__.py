"""160,000 icons by a hundred teams. As on the web, the pictures have many authors, but here all of
them are in one format. Some of the icons are under seal: nobody looks at them until the recipe is
fixed.

Read iconify.py (the package, and from an icon's name to a caption), families.py (who drew what, and
which families no model is trained on), drawing.py (from an icon to pixels, and which drawings count
as one picture), icons.py (the pairs and their splits) and sample.py (the 339 icons that come with
miniclip itself).
"""
