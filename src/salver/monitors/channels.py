"""Telling people: alarms to webhooks, Slack, e-mail and the many others that Apprise knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from salver.errors import ConfigError
from salver.monitors.alarm import Notice, notices
from salver.monitors.judge import LEVELS
from salver.monitors.results import Watched
from salver.monitors.settings import Channel, Settings
from salver.monitors.store import Store

logger = logging.getLogger("salver")


def tell(store: Store, settings: Settings, watched: Iterable[Watched], now_us: int) -> list[Notice]:
    """Send what was not told yet, and note it. What a channel refuses is tried again at the next look.

    An alarm that no channel asks for counts as told: it is on the page, in the terminal and in metrics all the same.
    """
    before = store.told()
    sent: list[Notice] = []
    for notice in notices(now_us, [alarm for one in watched for alarm in one.alarms], before):
        wanted = [channel for channel in settings.channels if _wants(channel, notice)]
        if not all([send(channel, title(notice), body(notice)) for channel in wanted]):  # every channel has its try
            continue
        begun, ended, silent = before.get(notice.alarm.id, (0, 0, 0))
        store.put_told(notice.alarm.id, begun or now_us, now_us if notice.ended else ended, silent)
        sent.append(notice)
    return sent


def send(channel: Channel, heading: str, text: str) -> bool:
    """Send one message; whether it went. Raises ConfigError for an address that is none."""
    try:
        import apprise
    except ImportError:
        raise ConfigError("telling people needs Apprise: pip install 'salver[alerts]'") from None
    to = apprise.Apprise()
    if not to.add(channel.url):
        raise ConfigError("monitor.toml has a channel whose url is none that Apprise knows")
    if to.notify(title=heading, body=text, body_format=apprise.NotifyFormat.TEXT):
        return True
    logger.warning("a message to a channel (%s) could not be sent; it is tried again", channel.url.partition(":")[0])
    return False


def title(notice: Notice) -> str:
    alarm = notice.alarm
    state = "resolved" if notice.ended else alarm.level
    return (
        f"[{state}] {alarm.model}@{alarm.version}: {alarm.kind.replace('_', ' ')} {'' if alarm.column == '*' else alarm.column}"
    )


def body(notice: Notice) -> str:
    """What, since when, how much, which rows, what to do."""
    alarm = notice.alarm
    since = f"since {moment(alarm.since_us)}" + (f" until {moment(alarm.until_us)}" if alarm.until_us else "")
    lines = [alarm.what, f"{alarm.track}, {since}"]
    return "\n".join(lines if notice.ended else [*lines, "", alarm.advice, "", "rows to look at:", alarm.query])


def moment(us: int) -> str:
    """A time in UTC, to the minute."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _wants(channel: Channel, notice: Notice) -> bool:
    alarm = notice.alarm
    return LEVELS.index(alarm.level) >= LEVELS.index(channel.level) and (not channel.models or alarm.model in channel.models)
