"""Hydra runs that can be run again.

Importing this package loads neither torch nor SciPy nor GitPython: a public name is fetched when first used.
"""
