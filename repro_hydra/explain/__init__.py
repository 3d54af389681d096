"""`explain`: why two runs differ. The first step, stage, tensor and operator that differ, then the likely cause."""
