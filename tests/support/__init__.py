"""What several tests use: small trainers, batches, and records in memory."""
