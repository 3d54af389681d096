"""``repro-hydra report``: one page that shows what was run, whether it can be run again, and what came out.

Needs the extra ``report`` (jinja2, matplotlib), imported only when a page is made.
"""
