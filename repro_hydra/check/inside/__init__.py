"""What is in force inside the processes of a command that is being checked.

Imported at the interpreter's start, before the user's first line: by ``entry/sitecustomize.py``, which lies in front
of the search path. Nothing heavier than the standard library's small modules is imported here.
"""
