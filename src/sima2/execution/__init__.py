"""Who runs the shards: this process, a pool of processes, later a cluster. Results come back in shard order."""
