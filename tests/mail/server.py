"""An SMTP server that requires TLS and a password: `server.py starttls|smtps CERTIFICATE KEY`. Prints its port, then each message
as a line of JSON."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = {"to": envelope.rcpt_tos, "user": session.auth_data.login.decode(), "message": envelope.content.decode()}
        print(json.dumps(message), flush=True)
        return "250 accepted"


def authenticate(server, session, envelope, mechanism, data):
    is_known = isinstance(data, LoginPassword) and data.password == b"hunter2 %"
    return AuthResult(success=is_known, handled=False, auth_data=data)


async def main(mode, certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    is_starttls = mode == "starttls"

    def protocol():
        return SMTP(
            Handler(),
            hostname="mail.example.org",
            auth_required=True,
            authenticator=authenticate,
            auth_require_tls=is_starttls,
            tls_context=context if is_starttls else None,
            require_starttls=is_starttls,
        )

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=None if is_starttls else context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
