"""Files of published data sets: the pinned commits of `configs/sources.toml`, how to fetch them and how to read them.

An importer is given a `Tree` of this package and knows neither git nor the network.
"""
