"""Build the operator graphs of the catalogue's models from their configurations, without weights or network access."""
