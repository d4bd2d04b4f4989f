"""Whether speech is good: recognition errors, quality, similarity, prosody, alignment, reports, listening tests."""
