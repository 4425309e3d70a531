"""writer.py writes the report of eval.py: tables, text, figures and results.json.

The code of each section is in the file of its question, one folder up.
"""
