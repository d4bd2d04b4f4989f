"""`amtts serve`: an HTTP server over the Python interface of amtts, with OpenAI's routes; needs `amtts[server]`."""
