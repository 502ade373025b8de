"""Ask how fast any AI model runs on any chip, and get an answer in microseconds, with its evidence."""

__version__ = "0.1.0"
