"""Figures, one file each, drawn from result files alone."""
