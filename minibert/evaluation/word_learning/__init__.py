"""When in training each word is learnt."""
