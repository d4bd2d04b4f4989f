"""`amtts studio`: the road from recordings to a voice in a browser, over the same functions as the commands.

Nothing here prepares, trains or speaks by itself: short work calls `amtts` and the core, long work is a child process
`python -m amtts_cli ...` with an entry in the job table.
"""
