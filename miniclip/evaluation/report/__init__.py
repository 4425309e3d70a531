"""What the report of eval.py is written with: writer.py (tables, text, figures, results.json).

The sections stand in the file of their question, one folder up.
"""
