"""Operator graphs of measured models beyond the catalogue, built from library definitions."""
