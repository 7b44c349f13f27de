"""What is built: one component per layer, written against the Target seam and never against a target."""
