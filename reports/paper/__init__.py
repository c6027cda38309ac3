"""What a paper says of a study beside its results: what it rests on, and whom it cites."""
