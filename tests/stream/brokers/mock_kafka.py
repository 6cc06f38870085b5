"""librdkafka's mock cluster as a program: `python -m tests.stream.brokers.mock_kafka` prints where it answers, then does what
it is told on standard input: `topic NAME PARTITIONS`, `down`, `up`. It ends when that is closed.

Its partitions keep 5 MB each: whoever fills in more makes more of them.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

import confluent_kafka

BROKERS = 1
_PRODUCER = 0


def library() -> ctypes.CDLL:
    """The very library that the client uses, with the types of what is called."""
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    loaded = ctypes.CDLL(str(next(folder.glob("librdkafka-*.so*"))))
    loaded.rd_kafka_new.restype = loaded.rd_kafka_mock_cluster_new.restype = c_void_p
    loaded.rd_kafka_new.argtypes = [c_int, c_void_p, c_char_p, c_size_t]
    loaded.rd_kafka_mock_cluster_new.argtypes = [c_void_p, c_int]
    loaded.rd_kafka_mock_cluster_bootstraps.restype = c_char_p
    loaded.rd_kafka_mock_cluster_bootstraps.argtypes = [c_void_p]
    loaded.rd_kafka_mock_topic_create.argtypes = [c_void_p, c_char_p, c_int, c_int]
    for name in ("rd_kafka_mock_broker_set_down", "rd_kafka_mock_broker_set_up"):
        getattr(loaded, name).argtypes = [c_void_p, c_int]
    loaded.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [c_void_p, c_int]
    return loaded


def main() -> None:
    rdkafka = library()
    cluster = rdkafka.rd_kafka_mock_cluster_new(rdkafka.rd_kafka_new(_PRODUCER, None, None, 0), BROKERS)
    rdkafka.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 100)
    print(rdkafka.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        what, *rest = line.split()
        if what == "topic":
            rdkafka.rd_kafka_mock_topic_create(cluster, rest[0].encode(), int(rest[1]), 1)
        else:
            for number in range(1, BROKERS + 1):
                getattr(rdkafka, f"rd_kafka_mock_broker_set_{what}")(cluster, number)
        print("done", flush=True)


if __name__ == "__main__":
    main()
