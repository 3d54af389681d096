"""A run or a sweep as one folder or file that another lab can check and run again: a Workflow Run RO-Crate."""
