"""Many texts at once: what files of texts say, and a folder of speech that an interrupted run goes on with."""
