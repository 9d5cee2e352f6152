"""A trusted semantic data pump for robot learning."""

__version__ = "0.1.0"
