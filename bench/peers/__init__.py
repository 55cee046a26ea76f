"""Measures loomdb against other builders of approximate nearest neighbor indexes."""
