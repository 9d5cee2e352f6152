"""What a plan becomes outside: a copy of the data set, lists beside it, plain tables. No source is ever changed."""
