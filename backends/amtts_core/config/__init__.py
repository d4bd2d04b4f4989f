"""Settings of a run: sections, resolution over presets and defaults, YAML."""
