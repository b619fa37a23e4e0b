"""Sends each line of its input as a message and prints the answer.

Usage: websocket_client.py HOST PORT
"""

from __future__ import annotations

import asyncio
import sys

import websockets


async def talk() -> None:
    async with websockets.connect(f"ws://{sys.argv[1]}:{sys.argv[2]}/",
                                  max_size=None) as connection:
        while line := await asyncio.to_thread(sys.stdin.readline):
            await connection.send(line)
            print(await connection.recv(), end="", flush=True)


asyncio.run(talk())
