"""A mail server on loopback that keeps what it gets and can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class MailServer:
    """What it got, and how it answers.

    Attributes:
        encryption: for STARTTLS, or for the whole conversation; None: it offers none.
        at_once: it speaks TLS from the beginning.
        answers: instead of the usual one, by the command's first word.
        silent: says nothing at all.
        mails: what came in.
        logins: user and password, as they came.
        encrypted: whether each of the mails came over TLS.
        connections: so many were made.
    """

    encryption: ssl.SSLContext | None = None
    at_once: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    connections: int = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talks with one client until it leaves."""
        self.connections += 1
        try:
            if self.silent:
                await reader.read()
            else:
                await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = ""
        receivers: list[str] = []
        writer.write(b"220 loopback\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            usual = self._usual(word, writer)
            answer = self.answers.get(line, self.answers.get(word, usual))
            if word == "MAIL":
                sender, receivers = line.partition("<")[2].partition(">")[0], []
            elif word == "RCPT" and answer.startswith("2"):
                receivers.append(line.partition("<")[2].partition(">")[0])
            elif word == "AUTH":
                self.logins.append(base64.b64decode(line.split()[2]).decode())
            writer.write(f"{answer}\r\n".encode())
            if word == "DATA" and answer.startswith("3"):
                content = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append((sender, receivers, content))
                self.encrypted.append(_is_encrypted(writer))
                writer.write(b"250 kept\r\n")
            elif word == "STARTTLS" and self.encryption is not None:
                await writer.start_tls(self.encryption)
            elif word == "QUIT":
                return

    def _usual(self, word: str, writer: asyncio.StreamWriter) -> str:
        if word == "EHLO":
            offers = [] if _is_encrypted(writer) or self.encryption is None else ["STARTTLS"]
            lines = ["loopback", *offers, "AUTH PLAIN"]
            return "\r\n".join([*(f"250-{one}" for one in lines[:-1]), f"250 {lines[-1]}"])
        usual = {"DATA": "354 go on", "AUTH": "235 welcome", "QUIT": "221 bye"}
        usual["STARTTLS"] = "220 go on"
        return usual.get(word, "250 fine")


def _is_encrypted(writer: asyncio.StreamWriter) -> bool:
    return writer.get_extra_info("ssl_object") is not None


@asynccontextmanager
async def serving_mail(server: MailServer) -> AsyncIterator[int]:
    """Gives the port while it listens."""
    at_once = server.encryption if server.at_once else None
    listener = await asyncio.start_server(server.converse, "127.0.0.1", 0, ssl=at_once)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
