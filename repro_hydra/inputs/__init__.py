"""What a job opens for reading, watched while it runs.

`start`, `hook` and `recorder` are imported at the start of an interpreter, before anything of the user's, so they
import nothing but the standard library. What is watched, and what cannot be, stands in ``docs/inputs.md``.
"""
