"""Python's `websockets`, once with a token in a header and once with one in each message. Certificate checking is on."""

import asyncio
import json
import os
import ssl

import websockets

ADDRESS = os.environ["DBAL_ADDRESS"]
TOKEN = os.environ["DBAL_TOKEN"]
USER = os.environ["DBAL_USER"]


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


async def crud(socket, auth):
    calls = 0

    async def call(method, *params):
        nonlocal calls
        calls += 1
        request = {"id": f"req_{calls}", "method": method, "params": list(params)}
        if auth:
            request["auth"] = auth
        await socket.send(json.dumps(request))
        message = await socket.recv()
        assert isinstance(message, str)
        answer = json.loads(message)
        assert answer["id"] == request["id"]
        if "error" in answer:
            assert "result" not in answer
            raise Refused(answer["error"])
        return answer["result"]

    note = await call("create", "Note", {"title": "by python", "body": "ü"})
    assert note["title"] == "by python" and note["ownerId"] == USER
    assert await call("read", "Note", note["id"]) == note
    listed = await call("list", "Note", {"filter": {"title": {"contains": "python"}}})
    assert listed["total"] == 1 and listed["data"] == [note]
    updated = await call("update", "Note", note["id"], {"body": "changed"})
    assert updated["body"] == "changed"
    assert await call("delete", "Note", note["id"]) is True
    try:
        await call("read", "Note", note["id"])
        raise AssertionError("a deleted row was read")
    except Refused as refused:
        assert refused.code == 404


async def main():
    trusting = ssl.create_default_context(cafile=os.environ["DBAL_CA"])
    header = {"Authorization": f"Bearer {TOKEN}"}
    # The library offers permessage-deflate by itself; the daemon declines it.
    async with websockets.connect(f"wss://{ADDRESS}/", ssl=trusting, additional_headers=header) as socket:
        await crud(socket, None)
    async with websockets.connect(f"wss://{ADDRESS}/", ssl=trusting) as socket:
        await crud(socket, {"token": TOKEN, "user_id": USER})
    print("create read list update delete: ok")

    strangers = ssl.create_default_context()
    try:
        async with websockets.connect(f"wss://{ADDRESS}/", ssl=strangers):
            raise AssertionError("an unknown authority was trusted")
    except ssl.SSLCertVerificationError:
        print("untrusted certificate refused: ok")


asyncio.run(main())
