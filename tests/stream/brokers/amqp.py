"""A RabbitMQ with a node, a cookie and a port mapper of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from tests.programs import program
from tests.serving import free_port
from tests.stream.brokers import PARTITIONS, Sent, partition_of
from tests.stream.brokers.program import Program

_AT_ONCE = 1000


class Server(Program):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "amqp", "guest:guest@")
        self._mapper_port = free_port()

    def start(self) -> None:
        # The package's own script wants to be another user, and writes where only that may.
        script = program("rabbitmq-server", "rabbitmq-server", among="/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin")
        inner = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
        (self._folder / "plugins").write_text("[].\n")

        def answers() -> bool:
            try:
                self._ask(_look)
                return True
            except (OSError, aio_pika.exceptions.AMQPError):
                return False

        # Killed, it looks through all that it has.
        self._run([inner[-1] if inner else script], answers, seconds=240, env=self._environment(), cwd=self._folder)

    def kill(self) -> None:
        super().kill()
        subprocess.run([program("epmd", "erlang-base"), "-kill"], env=self._environment(), capture_output=True)

    def fill(self, topic: str, messages: Iterable[Sent], divided: bool = False) -> None:
        async def publish(channel: AbstractChannel) -> None:
            for queue in [f"{topic}.{number}" for number in range(PARTITIONS)] if divided else [topic]:
                await channel.declare_queue(queue, durable=True)
            waiting: list[Any] = []
            for number, message in enumerate(messages):
                made = aio_pika.Message(
                    message.value,
                    headers={**message.headers, "key": message.key},
                    message_id=f"{topic}-{number}",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                queue = f"{topic}.{partition_of(message)}" if divided else topic
                waiting.append(channel.default_exchange.publish(made, queue))
                if len(waiting) == _AT_ONCE:
                    await asyncio.gather(*waiting)
                    waiting.clear()
            await asyncio.gather(*waiting)

        self._ask(publish)

    def read(self, topic: str) -> list[Sent]:
        async def drain(channel: AbstractChannel) -> list[Sent]:
            queue = await channel.declare_queue(topic, durable=True)
            left, made = queue.declaration_result.message_count or 0, list[Sent]()
            if left:
                await channel.set_qos(prefetch_count=min(left, 2 * _AT_ONCE))
                async with queue.iterator() as messages:
                    async for one in messages:
                        headers = {name: str(value) for name, value in one.headers.items()}
                        made.append(Sent(headers.pop("key", ""), one.body, headers, one.message_id or ""))
                        if len(made) % _AT_ONCE == 0 or len(made) == left:
                            await one.ack(multiple=True)
                        if len(made) == left:
                            break
            return made

        return self._ask(drain)

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            **os.environ,
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "yes",  # one process, without a shell around it
            "RABBITMQ_NODENAME": "salver@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_CONFIG_FILE": f"{folder}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/config",
        }

    def _ask(self, question: Any) -> Any:
        async def ask() -> Any:
            async with await aio_pika.connect(self._url, timeout=10) as connection:
                return await question(await connection.channel())

        return asyncio.run(ask())


async def _look(_channel: AbstractChannel) -> None: ...
