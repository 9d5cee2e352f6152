"""What the episodes teach: evidence in integers, an ontology, a task graph, and proposals. All of it advice."""
