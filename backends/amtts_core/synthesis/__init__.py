"""From text to speech with a trained backend."""
