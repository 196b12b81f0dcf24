// Node's `ws`, once with a token in a header and once knowing only the endpoint. Certificate checking is on.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';

const { DBAL_ADDRESS, DBAL_CA, DBAL_TOKEN, DBAL_CLIENTS } = process.env;
const WebSocket = createRequire(`${DBAL_CLIENTS}/package.json`)('ws');
const ca = readFileSync(DBAL_CA);

function connect(url, options) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, options);
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });
}

function caller(socket) {
  const waiting = new Map();
  let calls = 0;
  socket.on('message', (data, isBinary) => {
    assert.equal(isBinary, false);
    const answer = JSON.parse(data);
    const { resolve, reject } = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) reject(Object.assign(new Error(answer.error.message), answer.error));
    else resolve(answer.result);
  });
  return (method, ...params) =>
    new Promise((resolve, reject) => {
      const id = `req_${(calls += 1)}`;
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params }));
    });
}

async function crud(socket) {
  const call = caller(socket);
  const note = await call('create', 'Note', { title: 'by node', body: null });
  assert.equal(note.title, 'by node');
  assert.deepEqual(await call('read', 'Note', note.id), note);
  const list = await call('list', 'Note', { filter: { title: 'by node' } });
  assert.equal(list.total, 1);
  const updated = await call('update', 'Note', note.id, { body: 'changed' });
  assert.equal(updated.body, 'changed');
  assert.equal(await call('delete', 'Note', note.id), true);
  await assert.rejects(call('read', 'Note', note.id), { code: 404 });
  // Side by side on one connection.
  const many = await Promise.all(Array.from({ length: 50 }, (_, n) => call('create', 'Note', { title: `n${n}` })));
  assert.equal(new Set(many.map((row) => row.id)).size, 50);
  await Promise.all(many.map((row) => call('delete', 'Note', row.id)));
  socket.close();
}

await crud(await connect(`wss://${DBAL_ADDRESS}/`, { ca, headers: { Authorization: `Bearer ${DBAL_TOKEN}` } }));
await crud(await connect(`wss://${DBAL_ADDRESS}/rpc?access_token=${DBAL_TOKEN}`, { ca }));
console.log('create read list update delete: ok');

await assert.rejects(connect(`wss://${DBAL_ADDRESS}/`, {}), /certificate/);
console.log('untrusted certificate refused: ok');
