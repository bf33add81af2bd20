"""corpusmill: the entry points of both programs, under a name that nobody else has. Everything else is in `corpus`,
`pipelines`, `tokenizer` and `trainer`."""
