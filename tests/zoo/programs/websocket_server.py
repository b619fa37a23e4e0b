"""Echoes messages. Usage: websocket_server.py HOST PORT"""

from __future__ import annotations

import asyncio
import sys

import websockets


async def echo(connection: websockets.WebSocketServerProtocol) -> None:
    async for message in connection:
        await connection.send(message)


async def serve() -> None:
    async with websockets.serve(echo, sys.argv[1], int(sys.argv[2]), max_size=None):
        await asyncio.Future()


asyncio.run(serve())
