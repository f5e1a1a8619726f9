"""The service manager's end of a notify socket, for tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class NotifySocket:
    """A real datagram socket, and every message that reached it.

    Parameters
    ----------
    address
        A path, or "@" and an abstract name.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._heard: list[dict[str, str]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._socket.close()

    def _read(self) -> None:
        while message := self._socket.recv(4096):
            lines = [line.split("=", 1) for line in message.decode().splitlines()]
            with self._news:
                self._heard.append(dict(lines))
                self._news.notify_all()

    @property
    def messages(self) -> list[dict[str, str]]:
        with self._news:
            return list(self._heard)

    def count(self, key: str) -> int:
        """How many messages had this key."""
        return sum(key in message for message in self.messages)

    def await_more(self, key: str, count: int, timeout_s: float = 60) -> list[dict[str, str]]:
        """The first messages with this key from now on."""
        with self._news:
            seen = len(self._heard)

            def found() -> list[dict[str, str]]:
                return [text for text in self._heard[seen:] if key in text]

            assert self._news.wait_for(lambda: len(found()) >= count, timeout_s), found()
            return found()[:count]

    def await_all(self, count: int, timeout_s: float = 60) -> None:
        """Until so many messages came."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._heard) >= count, timeout_s), self._heard

    def await_message(
        self, wanted: Callable[[dict[str, str]], bool], *, news: bool = False, timeout_s: float = 60
    ) -> dict[str, str]:
        """The first message that is wanted; with `news`, the first from now on."""
        with self._news:
            seen = len(self._heard) if news else 0

            def found() -> dict[str, str] | None:
                return next((text for text in self._heard[seen:] if wanted(text)), None)

            message = self._news.wait_for(found, timeout_s)
            assert message, f"heard only {self._heard[seen:]}"
        return message
