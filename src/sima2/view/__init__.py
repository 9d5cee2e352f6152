"""The page of a run, served to a browser on the same machine: episodes as asked for, videos, and labels."""
