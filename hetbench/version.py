"""The version of the package, where every module may read it without importing `hetbench` itself."""

__all__ = ["__version__"]

__version__ = "0.1.0"
