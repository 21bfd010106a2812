"""Teachers: the judges that label records, behind an OpenAI-compatible endpoint."""
