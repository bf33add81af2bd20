"""Pages for people: one HTML file that needs nothing else, of parts (texts, tables, charts, examples) in sections."""
