"""The report site: a leaderboard, a page for each model, and a comparison, as files that open from a disk."""
