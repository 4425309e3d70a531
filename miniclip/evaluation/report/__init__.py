"""What the report of eval.py is written with: writer.py (tables, text, figures, results.json).

unseen_site/ has the sections on pairs that hold out a whole site (icons). The other sections stand in
the file of their question, one folder up.
"""
