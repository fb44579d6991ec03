// npm's @rocket.chat/api-client, unmodified: it answers second factors by itself.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { RestClient } from '@rocket.chat/api-client';

const server = process.env.SERVER;
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

function totp(by = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP']
    .map((symbol) => alphabet.indexOf(symbol).toString(2).padStart(5, '0'))
    .join('');
  const seed = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + by));
  const digest = crypto.createHmac('sha1', seed).update(step).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, '0');
}

function lastMail() {
  const names = fs.readdirSync(process.env.OUTBOX).filter((name) => /^\d+\.json$/.test(name));
  const last = path.join(process.env.OUTBOX, names.sort().at(-1));
  return JSON.parse(fs.readFileSync(last)).text.match(/\b\d{3}-?\d{3}\b/)[0];
}

async function signedIn(user, password, code) {
  const client = new RestClient({ baseUrl: server });
  const body = { user, password };
  if (code) body.code = code;
  const { data } = await client.post('/v1/login', body);
  client.setCredentials({ 'X-User-Id': data.userId, 'X-Auth-Token': data.authToken });
  return client;
}

async function wholeLife(client, challenges, answer) {
  client.handleTwoFactorChallenge(async (challenge) => {
    challenges.push(challenge);
    return answer(challenge);
  });
  const made = await client.post('/v1/users.generatePersonalAccessToken', { tokenName: 'js' });
  const listed = await client.get('/v1/users.getPersonalAccessTokens');
  assert.deepEqual(listed.tokens.map(({ name }) => name), ['js']);
  const anew = await client.post('/v1/users.regeneratePersonalAccessToken', { tokenName: 'js' });
  assert.notEqual(anew.token, made.token);
  const me = await client.get('/v1/me');
  const token = new RestClient({
    baseUrl: server,
    credentials: { 'X-User-Id': me._id, 'X-Auth-Token': anew.token },
  });
  assert.equal((await token.get('/v1/me')).username, me.username);
  await client.post('/v1/users.removePersonalAccessToken', { tokenName: 'js' });
  await assert.rejects(token.get('/v1/me'), (response) => response.status === 401);
  assert.deepEqual((await client.get('/v1/users.getPersonalAccessTokens')).tokens, []);
}

// By password, wrong once.
{
  const challenges = [];
  await wholeLife(await signedIn('bob', 'bob-password'), challenges, ({ invalidAttempt }) =>
    sha256(invalidAttempt ? 'bob-password' : 'wrong'),
  );
  // Asked, asked again after a wrong answer, and remembered from then on.
  assert.deepEqual(challenges.map(({ method }) => method), ['password', 'password']);
  assert.equal(challenges[1].invalidAttempt, true);
}

// By authenticator: one step at sign-in, another one for tokens.
{
  while (Math.floor(Date.now() / 1000) % 30 > 20) await new Promise((done) => setTimeout(done, 500));
  const due = await signedIn('tina', 'tina-password').catch((response) => response);
  assert.equal(due.status, 401);
  assert.equal((await due.json()).error, 'totp-required');
  const challenges = [];
  const tina = await signedIn('tina', 'tina-password', totp(0));
  await wholeLife(tina, challenges, () => totp(1));
  assert.deepEqual(challenges.map(({ method }) => method), ['totp']);
}

// By mail, asked for at sign-in and again for tokens.
{
  await assert.rejects(signedIn('mia', 'mia-password'), (response) => response.status === 401);
  const client = new RestClient({ baseUrl: server });
  await client.post('/v1/users.2fa.sendEmailCode', { emailOrUsername: 'mia' });
  const mia = await signedIn('mia', 'mia-password', lastMail());
  const challenges = [];
  await wholeLife(mia, challenges, () => lastMail());
  assert.deepEqual(challenges.map(({ method, emailOrUsername }) => [method, emailOrUsername]), [
    ['email', 'mia@acme.example'],
  ]);
}
