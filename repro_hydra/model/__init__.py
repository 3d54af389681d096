"""What concerns a model alone: where its parameters begin, and whether it computes the same twice."""
