"""Load table of `amtts serve`: python benchmarks/load_server.py RUN

Speech is streamed as bare samples. The server and the clients share the machine; the warm-up is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os

from server_load import load, server_of


def main() -> None:
    """Prints a row for each number of clients."""
    parser = argparse.ArgumentParser()
    parser.add_argument("voice")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--requests", type=int, default=64)
    asked = parser.parse_args()
    with server_of(asked.voice, "--per-key", "128") as server:
        print(f"ready after {server.ready_after:.1f} s, {server.memory():.0f} MB")
        print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(
            "| clients | requests | failed | audio s/s | CPU s/audio s | first byte p50 | p90 | p99 | memory MB |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        asyncio.run(load(server.url, clients=2, requests=8))
        for clients in asked.clients:
            before = server.processor_time()
            figures, seconds = asyncio.run(load(server.url, clients=clients, requests=asked.requests))
            shares = " | ".join(f"{figures.share(p):.2f} s" for p in (50, 90, 99))
            print(
                f"| {clients} | {asked.requests} | {figures.failed} | {figures.audio / seconds:.1f} | "
                f"{(server.processor_time() - before) / figures.audio:.3f} | {shares} | {server.memory():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
