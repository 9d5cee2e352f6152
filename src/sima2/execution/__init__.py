"""Who runs the shards: this process, a pool of processes, a cluster. Results come back in the order of the shards.

An engine is a file with one class (``executor.Executor``) and a row of ``engines.ENGINES``; ``containment`` is the same
for all: a worker that dies costs its own episode and no other.
"""
