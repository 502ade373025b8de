"""Search the fastest execution settings of this machine for one model or operator.

space    the settings to choose from, and the task of each setting
search   which setting to try next: random, grid, genetic, Bayesian
trials   measure settings, confirm the best against the default, double the batch until throughput saturates
report   result as JSON and Markdown, and the configuration space
"""
