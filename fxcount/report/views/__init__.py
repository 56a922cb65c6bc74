"""The report seen: text, plain data, graphs, other tools' numbers."""
