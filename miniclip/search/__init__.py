"""Search your own pictures by words or by a picture (`python -m miniclip.search`).

Read embed.py first: it turns pictures into features, and can write them to a file. database.py
keeps the features of a folder of pictures in a file, the index. build.py makes an index and brings
it up to date, find.py searches in it, and serve.py shows a page (page.html) that searches and
classifies in a browser.
"""
