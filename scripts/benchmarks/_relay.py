"""A slow link: accepts connections, and passes on what comes after a delay, at a limited rate.

    python _relay.py ADDRESS PORT DELAY_SECS BYTES_PER_SEC       # a rate of 0 is unlimited

Listens on the port at every address. Each direction of the link has the rate for all its connections together.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 4096
# That wait for the link: a sender must notice that it is slow.
_MOST_CHUNKS = 8
_MOST_SECS_LATE = 0.2


class Direction:
    """One direction of the link."""

    def __init__(self, delay_secs: float, bytes_per_sec: float) -> None:
        self._delay, self._rate = delay_secs, bytes_per_sec
        self._link = asyncio.Lock()
        self._free_at = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes from one side of a connection to the other, until it closes."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_CHUNKS if self._rate else 0)
        sending = asyncio.create_task(self._send(chunks, writer))
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK):
                await chunks.put((self._due(), chunk))
        await chunks.put((self._due(), b""))
        await sending

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self._delay

    async def _send(self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if not chunk:
                writer.close()
                return
            if self._rate:
                async with self._link:
                    await self._pass(len(chunk))
            with contextlib.suppress(ConnectionError):
                writer.write(chunk)
                await writer.drain()

    async def _pass(self, num_bytes: int) -> None:
        """Wait until the link has carried this much. What a busy machine does late is made up for."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - _MOST_SECS_LATE) + num_bytes / self._rate
        await asyncio.sleep(self._free_at - now)


async def relay(address: str, port: int, delay_secs: float, bytes_per_sec: float) -> None:
    """Connect all who come to ``address``, on the same port."""
    there, back = Direction(delay_secs, bytes_per_sec), Direction(delay_secs, bytes_per_sec)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(there.carry(reader, target_writer), back.carry(target_reader, writer))

    server = await asyncio.start_server(connect, port=port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:])))
