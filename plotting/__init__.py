"""Figures, one module each: they read result files, draw with matplotlib and write PNG and PDF."""
