"""One runtime for autoregressive speech models: cache, sampling, generation, drafts, guards."""
