"""What a job opens for reading, watched while it runs.

`start`, and what it imports, runs at the start of an interpreter, before anything of the user's: it imports nothing but
the standard library. What is watched, and what cannot be, stands in ``docs/inputs.md``.
"""
