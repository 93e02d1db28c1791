"""A mail server and a whois server as one program, for a host of the range: `python postoffice.py`.

Says `ready` when both listen on 127.0.0.1, then a line of JSON for each message. What it answers to whois is hostile.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

SMTP_PORT: Final = 2525
WHOIS_PORT: Final = 4343
WHOIS: Final = (
    b"netname: EXAMPLE\r\ncountry: NL\r\n.\r\n~!touch /tmp/x\r\n\x1b[2J$(id)`id`\r\n\r\nBcc: victim@example.org\r\n"
)


class Counter:
    """Says what comes in."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        content = bytes(envelope.content or b"").decode("latin-1")
        print(json.dumps([envelope.mail_from, envelope.rcpt_tos, content]), flush=True)
        return "250 OK"


async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One question and its answer."""
    await reader.readline()
    writer.write(WHOIS)
    await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until somebody ends it."""
    loop = asyncio.get_running_loop()
    await asyncio.start_server(tell, "127.0.0.1", WHOIS_PORT)
    server = await loop.create_server(lambda: SMTP(Counter(), hostname="mx.example", loop=loop), "127.0.0.1", SMTP_PORT)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
