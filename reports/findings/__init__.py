"""What the statistics say in words: the question of a study, and those that people ask next."""
