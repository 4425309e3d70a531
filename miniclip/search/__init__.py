"""Search your own pictures by words or by a picture (`python -m miniclip.search`).

Read index.py (features of a folder of pictures in a file, and the exact search in it), encode.py
(pictures to features, read in threads while the model encodes), build.py (make an index, and bring
it up to date), find.py (a query of words and pictures), embed.py (features to a file) and serve.py
(a page, page.html, that searches and classifies in a browser).
"""
