"""Everything that touches files: data sets in, tables out."""
